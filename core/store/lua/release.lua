-- release: hand the conversation back unfinished, for anybody to claim at once; not counted as a failed attempt.
local FENCE, TURN, PROGRESS = ARGV[6], ARGV[7], ARGV[8]
if not holds(FENCE) then return 0 end
-- Released before, or ended: a repeated call must not count twice, nor leave a lease where nothing waits.
if tonumber(redis.call('ZSCORE', LEASES, NAME) or 0) == 0 then return 1 end
even_when_full()
redis.call('HINCRBY', CONV, 'attempts', -1)
-- Cancelled while its commit was on its way, a turn hands back the next one, of which nothing is on screen yet.
if PROGRESS ~= '' and running(TURN) then redis.call('HSET', CONV, 'progress', PROGRESS) end
redis.call('ZADD', LEASES, 0, NAME)
redis.call('PEXPIRE', LEASES, LONGEST_MS)
redis.call('PUBLISH', 'nb:free', NAME)
return 1
