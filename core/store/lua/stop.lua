-- stop: end the running turn; its holder hears of it at once, and again when it renews its lease.
-- ARGV: TURN
local TURN = ARGV[6]
if not running(TURN) then return 0 end
even_when_full()
redis.call('HSET', CONV, 'stop', TURN)
redis.call('PUBLISH', 'nb:stop', TURN)
return 1
