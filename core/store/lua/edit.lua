-- edit: change a waiting question; one that is already being answered stays as it is.
-- ARGV: WORD ENTRY
local WORD, ENTRY = ARGV[6], ARGV[7]
local found, place = entry(INBOX, WORD)
if not found then return 'GONE' end
if place == 0 and held() then return 'RUNNING' end
redis.call('LSET', INBOX, place, ENTRY)
return 'WAITING'
