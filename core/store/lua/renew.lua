-- renew: prolong the lease and keep the progress, if this holder's fencing token is still the newest.
-- 0: it is not. 1: it is. 2: stop the turn. 3: its question was deleted, so remove what it showed. 4: the server lost
-- the question.
-- ARGV: FENCE TURN PROGRESS
local FENCE, TURN, PROGRESS = ARGV[6], ARGV[7], ARGV[8]
if not holds(FENCE) then return 0 end
-- This call was on its way while the turn was committed: lease and progress now belong to the next turn, or to nobody.
if not running(TURN) then
  return redis.call('HGET', CONV, 'lost') == FENCE and not entry(INBOX, TURN) and 4 or 1
end
even_when_full()
redis.call('ZADD', LEASES, now() + LEASE_MS, NAME)
redis.call('PEXPIRE', LEASES, LONGEST_MS)
if PROGRESS ~= '' then redis.call('HSET', CONV, 'progress', PROGRESS) end
if redis.call('HGET', CONV, 'retract') == TURN then return 3 end
return redis.call('HGET', CONV, 'stop') == TURN and 2 or 1
