-- release: hand the conversation back unfinished, for anybody to claim at once. Not counted as a failed attempt.
-- 0: it was not ours. 1: this turn waits to be claimed. 2: this turn had ended, and the next one waits, if any.
-- ARGV: FENCE TURN PROGRESS
local FENCE, TURN, PROGRESS = ARGV[6], ARGV[7], ARGV[8]
if not holds(FENCE) then return 0 end
local unfinished = running(TURN)
-- Nothing waits, or it was already released: a repeated call must not count twice, nor leave a lease.
if redis.call('LLEN', INBOX) == 0 then return 2 end
if redis.call('HGET', CONV, 'free') == FENCE then return unfinished and 1 or 2 end
even_when_full()
-- A turn cancelled while its commit was on its way hands back the next one, of which nothing is on screen yet.
if PROGRESS ~= '' and unfinished then redis.call('HSET', CONV, 'progress', PROGRESS) end
hand_back(FENCE)
redis.call('PUBLISH', SPACE .. ':free', NAME)
return unfinished and 1 or 2
