-- unread: this holder can't read the question of the turn with its token. 1: it is to end the turn with a sentence,
-- since nobody could for AFTER_MS. 0: the lane is handed back, for a process that can; not a failed attempt.
-- ARGV: FENCE AFTER_MS
local FENCE, AFTER_MS = ARGV[7], tonumber(ARGV[8])
local found, turn = claimed_by('fence', FENCE)
if not found then return 0 end
even_when_full()
turn.unread = math.min(now(), turn.unread or now())
store(found, turn)
if now() - turn.unread >= AFTER_MS then return 1 end
hand_back(found, turn) -- without a signal: this process would hear it too, and try again at once
offer()
return 0
