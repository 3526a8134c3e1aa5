-- index: note a conversation from before there were indexes. Returns 1 if it exists.
local left = redis.call('PTTL', CONV)
if left <= 0 then return 0 end
redis.call('PEXPIRE', CONV, left) -- the first write, as in even_when_full
index(IN_CHANNEL, NAME, left)
index(IN_WORKSPACE, NAME, left)
return 1
