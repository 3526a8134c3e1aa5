-- retain: this conversation is remembered for so long from now on; what is older goes at once.
if redis.call('EXISTS', CONV) == 0 then return 0 end
TTL_MS = tonumber(ARGV[6])
redis.call('HSET', CONV, 'keep', ARGV[6])
forget_aged()
keep()
return 1
