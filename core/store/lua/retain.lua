-- retain: this conversation is remembered for so long from now on; what is older goes at once.
-- ARGV: KEEP_MS
local KEEP_MS = ARGV[6]
if redis.call('EXISTS', CONV) == 0 then return 0 end
TTL_MS = tonumber(KEEP_MS)
redis.call('HSET', CONV, 'keep', KEEP_MS)
forget_aged()
keep()
return 1
