-- known: the conversations in an index that have not expired.
-- KEYS: INDEX
local INDEX = KEYS[1]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return redis.call('ZRANGEBYSCORE', INDEX, string.format('(%.0f', now), '+inf')
