-- replicas: who is there at this moment. MEMBER says that it is for LIVE_MS, or with 0 that it goes; "" only looks.
-- KEYS: KEY
-- ARGV: MEMBER LIVE_MS
local KEY, MEMBER, LIVE_MS = KEYS[1], ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if MEMBER ~= '' then
  redis.call('ZREMRANGEBYSCORE', KEY, '-inf', string.format('%.0f', now))
  if LIVE_MS > 0 then
    redis.call('ZADD', KEY, string.format('%.0f', now + LIVE_MS), MEMBER)
    redis.call('PEXPIRE', KEY, LIVE_MS)
  else
    redis.call('ZREM', KEY, MEMBER)
  end
end
return redis.call('ZRANGEBYSCORE', KEY, string.format('(%.0f', now), '+inf')
