-- undo: forget the exchange of a turn, with its versions and what summaries tell of it, unless a question of its lane is
-- waiting or running. OF_LANES: the names that the lane may have. Returns BUSY, GONE, or UNDONE with the exchange and the
-- answered question.
-- ARGV: TURN OF_LANES...
local TURN = ARGV[7]
local OF_LANES = 8
for i = OF_LANES, #ARGV do
  if head_of(ARGV[i]) then return {'BUSY'} end
end
local exchange, shown = entry(HISTORY, TURN), entry(ENDED, TURN)
if not exchange then return {'GONE'} end
redis.call('LREM', HISTORY, 1, exchange)
if shown then redis.call('LREM', ENDED, 1, shown) end
forget_versions(TURN)
forget_summaries(TURN)
return {'UNDONE', exchange, shown or ''}
