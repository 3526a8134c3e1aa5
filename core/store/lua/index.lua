-- index: note a conversation from before there were indexes. Returns 1 if it exists.
local left = redis.call('PTTL', CONV)
if left <= 0 then return 0 end
index(IN_CHANNEL, left)
index(IN_WORKSPACE, left)
return 1
