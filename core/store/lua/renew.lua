-- renew: prolong the lease and keep the progress, if this holder's fencing token is still the newest.
local FENCE, PROGRESS = ARGV[6], ARGV[7]
if not holds(FENCE) then return 0 end
redis.call('ZADD', LEASES, now() + LEASE_MS, NAME)
if PROGRESS ~= '' then redis.call('HSET', CONV, 'progress', PROGRESS) end
return 1
