-- refused: hold all calls for as long as the platform asks, and note that its limit is lower than we thought.
-- KEYS: STATE
-- ARGV: HOLD_MS LIMIT STAY_MS
local STATE = KEYS[1]
local HOLD_MS, LIMIT, STAY_MS = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
-- Another process may have got a longer pause, or found a lower limit; both stay in effect.
local length, held = string.match(redis.call('HGET', STATE, 'held') or '', '^(%d+) (%d+)$')
local limit, stop = string.match(redis.call('HGET', STATE, 'limit') or '', '^(%d+) (%d+)$')
local left = held and tonumber(held) - now or 0
if length ~= '1' and left > 2 * tonumber(length or 0) then left = 0 end -- the clock was set back (see admit.lua)
HOLD_MS = math.max(HOLD_MS, left)
if limit and tonumber(stop) > now and tonumber(stop) <= now + left + 2 * STAY_MS then
  LIMIT = math.min(LIMIT, tonumber(limit))
end
redis.call('HSET', STATE, 'held', HOLD_MS .. ' ' .. (now + HOLD_MS), 'limit', LIMIT .. ' ' .. (now + HOLD_MS + STAY_MS))
redis.call('PEXPIRE', STATE, HOLD_MS + STAY_MS)
