-- Shared by the steps of quotas.py: the server's clock, and what is used up under a limit at this moment.
local TIME = redis.call('TIME')
local NOW = tonumber(TIME[1]) * 1000 + math.floor(tonumber(TIME[2]) / 1000)
local DAY_MS = 86400000
local MIDNIGHT = (math.floor(NOW / DAY_MS) + 1) * DAY_MS  -- days are those of UTC

-- The limits are the keys from `first` on, each with three arguments from `at` on: the most that may be used at once,
-- how much of it comes back per millisecond (0: all at midnight), and what this step uses.
local function limits(first, at)
  local found = {}
  for i = first, #KEYS do
    local limit = {key = KEYS[i], most = tonumber(ARGV[at]), rate = tonumber(ARGV[at + 1]), cost = tonumber(ARGV[at + 2])}
    local state = redis.call('HMGET', limit.key, 'used', 'at')
    local used, since = tonumber(state[1] or 0), tonumber(state[2] or NOW)
    if limit.rate > 0 then
      -- a clock set back must not use anything up
      limit.used = math.max(0, used - math.max(0, NOW - since) * limit.rate)
    else
      limit.used = since >= MIDNIGHT - DAY_MS and used or 0
    end
    found[#found + 1] = limit
    at = at + 3
  end
  return found
end

local function use(limit)
  limit.used = math.max(0, limit.used + limit.cost)
  redis.call('HSET', limit.key, 'used', string.format('%.6f', limit.used), 'at', string.format('%.0f', NOW))
  -- Gone means nothing is used: the key lives until that is so.
  local left = limit.rate > 0 and math.ceil(limit.used / limit.rate) or MIDNIGHT - NOW
  redis.call('PEXPIRE', limit.key, string.format('%.0f', left + 1000))
end
