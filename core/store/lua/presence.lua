-- presence: for how many milliseconds nobody said that a platform is heard, -1 if nobody ever did; with PRESENT, it is now.
-- KEYS: KEY
-- ARGV: PRESENT KEEP_MS
local KEY, PRESENT, KEEP_MS = KEYS[1], ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local last = tonumber(redis.call('GET', KEY) or now + 1)
if PRESENT == '1' then redis.call('SET', KEY, string.format('%.0f', now), 'PX', KEEP_MS) end
return now - last
