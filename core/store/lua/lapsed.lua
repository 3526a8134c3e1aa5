-- lapsed: conversations of one partition whose lease expired, the earliest first, and whose name has one of BEGINNINGS.
-- It skips others, of platforms that this process does not serve, so that they can't fill the answer.
-- KEYS: LEASES
-- ARGV: MOST BEGINNINGS...
local LEASES, MOST = KEYS[1], tonumber(ARGV[1])
local BEGINNINGS = 2
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local found, first = {}, 0
while #found < MOST do
  local batch = redis.call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', first, 100)
  for _, name in ipairs(batch) do
    for i = BEGINNINGS, #ARGV do
      if #found < MOST and string.sub(name, 1, #ARGV[i]) == ARGV[i] then found[#found + 1] = name end
    end
  end
  if #batch < 100 then break end
  first = first + 100
end
return found
