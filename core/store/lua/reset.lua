-- reset: forget the history; the running turn will not be stored either.
local count = redis.call('LLEN', HISTORY)
redis.call('UNLINK', HISTORY, ENDED)
redis.call('HINCRBY', CONV, 'epoch', 1)
redis.call('PEXPIRE', CONV, TTL_MS)
return count
