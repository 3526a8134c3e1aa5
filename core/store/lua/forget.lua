-- forget: forget these exchanges and answered questions; the running turns of OF_LANES will not be stored either. These
-- are names between commas.
-- ARGV: OF_LANES ENTRIES...
local OF_LANES = ARGV[7]
local ENTRIES = 8
local count = 0
for i = ENTRIES, #ARGV do
  count = count + redis.call('LREM', HISTORY, 1, ARGV[i])
  redis.call('LREM', ENDED, 1, ARGV[i])
end
for _, found in ipairs(redis.call('LRANGE', LINE, 0, -1)) do
  local turn = turn_of(found)
  if turn and string.find(OF_LANES, ',' .. lane_of(found) .. ',', 1, true) then
    even_when_full()
    turn.forget = true
    store(found, turn)
  end
end
return count
