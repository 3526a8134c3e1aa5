-- restore: queue the running question again, at the head, because the server lost it. 0: another process holds the lease.
-- KEYS: DEDUPE
-- ARGV: FENCE TURN ENTRY DEDUPE_MS
local DEDUPE = KEYS[8]
local FENCE, TURN, ENTRY, DEDUPE_MS = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
if not holds(FENCE) then return 0 end
if not entry(INBOX, TURN) then
  redis.call('SET', DEDUPE, 'restored', 'NX', 'PX', DEDUPE_MS)
  redis.call('LPUSH', INBOX, ENTRY)
  redis.call('HSET', CONV, 'attempts', 1, 'lease', LEASE_MS)
  redis.call('ZADD', LEASES, now() + LEASE_MS, NAME)
end
redis.call('HDEL', CONV, 'lost')
keep()
return 1
