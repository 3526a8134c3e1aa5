-- admit: count a call under a limit that processes share, or return in how many milliseconds it may be made. If
-- there is room, it also counts calls that will follow soon, as if made at the latest time at which they may be. Where
-- calls are promised (KEEP_MS > 0), an interim call leaves all that is owed.
-- KEYS: CALLS STATE PLAN
-- ARGV: PROCESS CALL ACTIVE MOST WINDOW_MS USABLE USABLE_MS STAY_MS AHEAD AHEAD_MS INTERIM OWED ARRIVALS KEEP_MS
local CALLS, STATE, PLAN = KEYS[1], KEYS[2], KEYS[3]
local PROCESS, CALL, ACTIVE = ARGV[1], ARGV[2], tonumber(ARGV[3])
local MOST, WINDOW_MS, USABLE, USABLE_MS = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local STAY_MS = tonumber(ARGV[8])
local AHEAD, AHEAD_MS, INTERIM = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local OWED, ARRIVALS, KEEP_MS = tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14])

-- Who uses the limit: each process renews its number with every call, and is forgotten when it makes none.
redis.call('HSET', STATE, 'p:' .. PROCESS, ACTIVE .. ' ' .. (NOW + STAY_MS))
-- What ends much later than its own length allows was written before the server's clock was set back, and would last
-- for as long as the clock jumped: it is none. A hold says its length, for which older versions say 1.
local length, stop = string.match(redis.call('HGET', STATE, 'held') or '', '^(%d+) (%d+)$')
local held = stop and tonumber(stop) - NOW or 0
if held < 0 or length ~= '1' and held > 2 * tonumber(length or 0) then held = 0 end
if held == 0 then redis.call('HDEL', STATE, 'held') end
local active, limit = 0, MOST
local state = redis.call('HGETALL', STATE)
for i = 1, #state, 2 do
  if state[i] ~= 'held' then
    local number, stop = string.match(state[i + 1], '^(%d+) (%d+)$')
    local left = stop and tonumber(stop) - NOW or -1
    if left < 0 or left > held + 2 * STAY_MS then
      redis.call('HDEL', STATE, state[i])
    elseif state[i] == 'limit' then
      limit = math.min(limit, tonumber(number))
    else
      active = active + tonumber(number)
    end
  end
end

-- How long until fewer than `most` calls are in the window.
local function free(most, window)
  local nth = most > 0 and redis.call('ZRANGE', CALLS, -most, -most, 'WITHSCORES') or {}
  return nth[2] and tonumber(nth[2]) + window - NOW or 0
end

local owed, arrivals = 0, 0
if KEEP_MS > 0 then owed, arrivals = plan(PLAN, PROCESS, OWED, ARRIVALS, KEEP_MS) end
-- Our own retry after a lost answer finds its call already counted.
if redis.call('ZSCORE', CALLS, CALL) then return {0, active, limit, 0, owed, arrivals} end
redis.call('ZREMRANGEBYSCORE', CALLS, '-inf', NOW - math.max(WINDOW_MS, USABLE_MS))
redis.call('ZREMRANGEBYSCORE', CALLS, NOW + math.max(WINDOW_MS, USABLE_MS), '+inf') -- the clock was set back
local usable = USABLE - MOST + limit
local wait = math.max(0, held, free(limit, WINDOW_MS))
if INTERIM == 1 and usable <= owed and owed > 0 then
  wait = math.max(wait, 1000) -- all that is left is owed; that may change at any time
else
  wait = math.max(wait, free(math.max(1, usable - INTERIM * owed), USABLE_MS))
end
local ahead = 0
if wait == 0 then
  redis.call('ZADD', CALLS, NOW, CALL)
  -- At most half of what is left, so that the next caller finds some too.
  local room = math.min(limit, USABLE) - redis.call('ZCOUNT', CALLS, NOW - math.max(WINDOW_MS, USABLE_MS), '+inf')
  ahead = math.max(0, math.min(AHEAD, math.floor(room / 2)))
  for i = 1, ahead do redis.call('ZADD', CALLS, NOW + AHEAD_MS, CALL .. ':' .. i) end
end
redis.call('PEXPIRE', CALLS, math.max(WINDOW_MS, STAY_MS))
redis.call('PEXPIRE', STATE, math.max(held, STAY_MS))
return {wait, active, limit, ahead, owed, arrivals}
