-- presence: milliseconds since a platform was last heard from, -1 if never; with PRESENT, it is heard from now.
-- KEYS: KEY
-- ARGV: PRESENT KEEP_MS
local KEY, PRESENT, KEEP_MS = KEYS[1], ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local last = tonumber(redis.call('GET', KEY) or now + 1)
if PRESENT == '1' then redis.call('SET', KEY, string.format('%.0f', now), 'PX', KEEP_MS) end
return now - last
