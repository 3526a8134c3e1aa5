-- summary: what is stored of a dialogue's summary and, with WHOLE, the history that it is made of.
-- ARGV: THREAD WHOLE
local THREAD, WHOLE = ARGV[7], ARGV[8]
forget_aged()
return {redis.call('HGET', SUMMARIES, THREAD) or '', WHOLE == '1' and redis.call('LRANGE', HISTORY, 0, -1) or {}}
