-- release: hand the lane back unfinished, for anybody to claim at once. Not counted as a failed attempt.
-- 0: it was not ours. 1: this turn waits to be claimed. 2: this turn had ended.
-- KEYS: ENDING
-- ARGV: FENCE TURN PROGRESS
local ENDING = KEYS[11]
local FENCE, TURN, PROGRESS = ARGV[7], ARGV[8], ARGV[9]
local how, found, turn = standing(TURN, FENCE, ENDING)
if how == 'stale' or how == 'lost' then return 0 end
-- A turn cancelled while its commit was on its way hands back the one that this commit took.
if how == 'ended' then found, turn = claimed_by('after', TURN) end
if not found then return 2 end
even_when_full()
if PROGRESS ~= '' and how == 'held' then turn.progress = PROGRESS end
hand_back(found, turn)
publish_free(lane_of(found))
offer()
return how == 'held' and 1 or 2
