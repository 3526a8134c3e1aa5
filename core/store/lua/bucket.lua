-- Shared by the steps of quotas.py: the server's clock, and how much of each limit is in use now.
local TIME = redis.call('TIME')
local NOW = tonumber(TIME[1]) * 1000 + math.floor(tonumber(TIME[2]) / 1000)
local DAY_MS = 86400000
local MIDNIGHT = (math.floor(NOW / DAY_MS) + 1) * DAY_MS  -- days are in UTC

-- The limits are the keys from `first` on. Each has three arguments from `at` on: the most that may be used at once,
-- how much comes back per millisecond (0: all at midnight), and how much this step uses.
local function limits(first, at)
  local found = {}
  for i = first, #KEYS do
    local most, rate, cost = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local limit = {key = KEYS[i], most = most, rate = rate, cost = cost}
    local state = redis.call('HMGET', limit.key, 'used', 'at')
    local used, since = tonumber(state[1] or 0), tonumber(state[2] or NOW)
    if since > NOW then
      -- The clock was set back: that uses nothing up, and from now on it comes back again.
      since = NOW
      redis.call('HSET', limit.key, 'at', string.format('%.0f', NOW))
    end
    if limit.rate > 0 then
      limit.used = math.max(0, used - (NOW - since) * limit.rate)
    else
      limit.used = since >= MIDNIGHT - DAY_MS and used or 0
    end
    found[#found + 1] = limit
    at = at + 3
  end
  return found
end

-- Forget a hold that was written before the clock was set back by more than a correction: it would last for as long as
-- the clock jumped.
local function forget_before_jump(hold)
  if tonumber(redis.call('HGET', hold, 'at') or 0) > NOW + 1000 then redis.call('DEL', hold) end
end

local function use(limit)
  limit.used = math.max(0, limit.used + limit.cost)
  redis.call('HSET', limit.key, 'used', string.format('%.6f', limit.used), 'at', string.format('%.0f', NOW))
  -- No key means that nothing is in use: the key lives until then.
  local left = limit.rate > 0 and math.ceil(limit.used / limit.rate) or MIDNIGHT - NOW
  redis.call('PEXPIRE', limit.key, string.format('%.0f', left + 1000))
end
