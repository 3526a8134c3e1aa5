-- renew: prolong the lease and keep the progress, if this holder's fencing token is still the newest.
-- 0: it is not. 2: the turn is to be stopped. 3: its question was deleted, so what it showed is to be taken away.
-- ARGV: FENCE TURN PROGRESS
local FENCE, TURN, PROGRESS = ARGV[6], ARGV[7], ARGV[8]
if not holds(FENCE) then return 0 end
-- One that was on its way while the turn was committed: the lease and the progress are the next turn's now, or nobody's.
if not running(TURN) then return 1 end
even_when_full()
redis.call('ZADD', LEASES, now() + LEASE_MS, NAME)
redis.call('PEXPIRE', LEASES, LONGEST_MS)
if PROGRESS ~= '' then redis.call('HSET', CONV, 'progress', PROGRESS) end
if redis.call('HGET', CONV, 'retract') == TURN then return 3 end
return redis.call('HGET', CONV, 'stop') == TURN and 2 or 1
