-- unread: this holder can't read the question at the head of the inbox. 1: it is to end the turn with a sentence, since
-- nobody could for AFTER_MS. 0: the conversation is handed back, for a process that can; not a failed attempt.
-- ARGV: FENCE AFTER_MS
local FENCE, AFTER_MS = ARGV[6], tonumber(ARGV[7])
if not holds(FENCE) or redis.call('LLEN', INBOX) == 0 then return 0 end
even_when_full()
local since = math.min(now(), tonumber(redis.call('HGET', CONV, 'unread') or now()))
redis.call('HSET', CONV, 'unread', string.format('%.0f', since))
if now() - since >= AFTER_MS then return 1 end
hand_back(FENCE) -- without a signal: this process would hear it too, and try again at once
return 0
