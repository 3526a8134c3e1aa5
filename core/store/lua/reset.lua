-- reset: forget the history; a turn that is running now will not be remembered either.
local count = redis.call('LLEN', HISTORY)
redis.call('UNLINK', HISTORY, ENDED)
redis.call('HINCRBY', CONV, 'epoch', 1)
redis.call('PEXPIRE', CONV, TTL_MS)
return count
