-- lapsed: lanes of one partition whose lease expired, the earliest first, and whose name has one of BEGINNINGS. It
-- skips others, of platforms that this process does not serve, so that they can't fill the answer. OLD_LEASES are those
-- of a version without lanes: of whole conversations.
-- KEYS: LANES OLD_LEASES
-- ARGV: MOST LEASE_MS BEGINNINGS...
local LANES, OLD_LEASES = KEYS[1], KEYS[2]
local MOST, LEASE_MS = tonumber(ARGV[1]), tonumber(ARGV[2])
local BEGINNINGS = 3
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local found = {}

local function find(key, low, high)
  local first = 0
  while #found < MOST do
    local batch = redis.call('ZRANGEBYSCORE', key, low, high, 'LIMIT', first, 100)
    for _, name in ipairs(batch) do
      for i = BEGINNINGS, #ARGV do
        if #found < MOST and string.sub(name, 1, #ARGV[i]) == ARGV[i] then found[#found + 1] = name end
      end
    end
    if #batch < 100 then break end
    first = first + 100
  end
end

for _, key in ipairs({LANES, OLD_LEASES}) do
  find(key, '-inf', now)
  find(key, string.format('(%.0f', now + 2 * LEASE_MS), '+inf') -- the clock was set back; the claim decides (see held)
end
return found
