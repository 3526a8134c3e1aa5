-- stop: end the running turn; its holder hears of it at once, and again when it renews its lease. If nobody can read
-- its question, nobody waits any longer for a process that can.
-- ARGV: TURN
local TURN = ARGV[6]
if not running(TURN) then return 0 end
even_when_full()
redis.call('HSET', CONV, 'stop', TURN, 'unread', 0)
redis.call('PUBLISH', SPACE .. ':stop', TURN)
if not held() then redis.call('PUBLISH', SPACE .. ':free', NAME) end
return 1
