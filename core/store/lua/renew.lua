-- renew: prolong the lease and keep the progress, if this holder's fencing token is still the newest.
-- 0: it is not. 1: it is. 2: stop the turn. 3: its question was deleted, so remove what it showed. 4: the server lost
-- the question.
-- KEYS: ENDING
-- ARGV: FENCE TURN PROGRESS
local ENDING = KEYS[11]
local FENCE, TURN, PROGRESS = ARGV[7], ARGV[8], ARGV[9]
local how, found, turn = standing(TURN, FENCE, ENDING)
-- This call was on its way while the turn was committed: the lease now belongs to the next turn, or to nobody.
if how ~= 'held' then return ({stale = 0, ended = 1, lost = 4})[how] end
even_when_full()
if PROGRESS ~= '' then turn.progress = PROGRESS end
if turn.free then turn.free, turn.attempts = nil, turn.attempts + 1 end
store(found, turn)
lease(found)
return turn.retract and 3 or turn.stop and 2 or 1
