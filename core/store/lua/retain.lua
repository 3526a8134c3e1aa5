-- retain: keep this conversation for this long from now on, and forget what is older at once.
-- ARGV: KEEP_MS
local KEEP_MS = ARGV[7]
if redis.call('EXISTS', CONV) == 0 then return 0 end
TTL_MS = tonumber(KEEP_MS)
even_when_full()
redis.call('HSET', CONV, 'keep', KEEP_MS)
forget_aged()
tidy_versions()
keep()
return 1
