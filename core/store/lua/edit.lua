-- edit: change a waiting question; one that is already being answered stays as it is.
-- ARGV: WORD ENTRY
local WORD, ENTRY = ARGV[7], ARGV[8]
local found, place = entry(LINE, WORD)
if not found then return 'GONE' end
if head_of(lane_of(found)) == found and held(found) then return 'RUNNING' end
redis.call('LSET', LINE, place, ENTRY)
return 'WAITING'
