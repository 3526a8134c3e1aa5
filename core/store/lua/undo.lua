-- undo: forget the exchange of a turn, with its versions and what summaries tell of it, unless a question of its lane
-- is waiting or running. REQUEST: names this call; its repetition after a lost answer finds it in UNDOER, and is told
-- the same. OF_LANES: the names that the lane may have. Returns BUSY, GONE or UNDONE.
-- KEYS: UNDOER
-- ARGV: REQUEST TURN OF_LANES...
local UNDOER = KEYS[11]
local REQUEST, TURN = ARGV[7], ARGV[8]
local OF_LANES = 9
if redis.call('GET', UNDOER) == REQUEST then return 'UNDONE' end
for i = OF_LANES, #ARGV do
  if head_of(ARGV[i]) then return 'BUSY' end
end
local exchange, shown = entry(HISTORY, TURN), entry(ENDED, TURN)
if not exchange then return 'GONE' end
even_when_full()
redis.call('LREM', HISTORY, 1, exchange)
if shown then redis.call('LREM', ENDED, 1, shown) end
forget_versions(TURN)
not_again({exchange})
forget_summaries(TURN)
redis.call('SET', UNDOER, REQUEST, 'PX', DEDUPE_MS)
return 'UNDONE'
