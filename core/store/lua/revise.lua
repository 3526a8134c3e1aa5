-- revise: change an answered question: it has other words or more messages when its answer is regenerated.
-- ARGV: WORD ENTRY
local WORD, ENTRY = ARGV[7], ARGV[8]
local found, place = entry(ENDED, WORD)
if not found then return 0 end
redis.call('LSET', ENDED, place, ENTRY)
return 1
