-- revise: an answered question is asked for again in other words, or has more messages.
-- ARGV: WORD ENTRY
local WORD, ENTRY = ARGV[6], ARGV[7]
local found, place = entry(ENDED, WORD)
if not found then return 0 end
redis.call('LSET', ENDED, place, ENTRY)
return 1
