-- reset: forget the history; the running turn will not be stored either. If nobody can read the question at the head of
-- the inbox, nobody waits any longer for a process that can.
local count = redis.call('LLEN', HISTORY)
redis.call('UNLINK', HISTORY, ENDED)
redis.call('HINCRBY', CONV, 'epoch', 1)
if redis.call('LLEN', INBOX) > 0 then
  redis.call('HSET', CONV, 'unread', 0)
  if not held() then redis.call('PUBLISH', SPACE .. ':free', NAME) end
end
redis.call('PEXPIRE', CONV, TTL_MS)
return count
