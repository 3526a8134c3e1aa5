-- restore: queue the running question again, in front, because the server lost it. 0: another process holds the lease.
-- KEYS: ENDING
-- ARGV: FENCE TURN ENTRY
local ENDING = KEYS[11]
local FENCE, TURN, ENTRY = ARGV[7], ARGV[8], ARGV[9]
local how = standing(TURN, FENCE, ENDING)
local head = how == 'lost' and head_of(lane_of(ENTRY))
local other = head and turn_of(head)
if other and tonumber(other.fence) > tonumber(FENCE) then return 0 end -- a newer question was first after the loss
if how == 'lost' then
  redis.call('SET', ENDING, 'restored', 'NX', 'PX', DEDUPE_MS)
  redis.call('LPUSH', LINE, ENTRY)
  issued(FENCE)
  store(ENTRY, {fence = FENCE, attempts = 1, lease = LEASE_MS})
  lease(ENTRY)
end
if how == 'stale' or how == 'ended' then return 0 end
keep()
return 1
