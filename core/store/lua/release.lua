-- release: hand the conversation back unfinished, for anybody to claim at once; not counted as a failed attempt.
local FENCE = ARGV[6]
if not holds(FENCE) then return 0 end
redis.call('HINCRBY', CONV, 'attempts', -1)
redis.call('ZADD', LEASES, 0, NAME)
return 1
