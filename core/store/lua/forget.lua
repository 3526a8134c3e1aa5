-- forget: forget these exchanges, versions and answered questions of a PERSON, and the summaries that tell of the
-- person; the running turns of OF_LANES will not be stored either. These are names between commas. Returns how many
-- exchanges and summaries there were.
-- ARGV: PERSON OF_LANES ENTRIES...
local PERSON, OF_LANES = ARGV[7], ARGV[8]
local ENTRIES = 9
local gone = {}
for i = ENTRIES, #ARGV do
  if redis.call('LREM', HISTORY, 1, ARGV[i]) == 1 then gone[#gone + 1] = ARGV[i] end
  redis.call('LREM', ENDED, 1, ARGV[i])
  redis.call('LREM', VERSIONS, 1, ARGV[i])
end
for _, found in ipairs(redis.call('LRANGE', LINE, 0, -1)) do
  local turn = turn_of(found)
  if turn and string.find(OF_LANES, ',' .. lane_of(found) .. ',', 1, true) then
    even_when_full()
    turn.forget = true
    store(found, turn)
  end
end
if #gone > 0 then not_again(gone) end
return {#gone, forget_summaries(PERSON)}
