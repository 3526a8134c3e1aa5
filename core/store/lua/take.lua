-- take: reserve a place under all limits at once and return in how many milliseconds it begins, or which limit refuses.
-- KEYS: RECORD HOLD LIMITS...
-- ARGV: PATIENCE_MS HELD_MS REMEMBER_MS STEP_MS NUMBERS...
local RECORD, HOLD = KEYS[1], KEYS[2]
local PATIENCE_MS, HELD_MS = tonumber(ARGV[1]), tonumber(ARGV[2])
local REMEMBER_MS, STEP_MS = tonumber(ARGV[3]), tonumber(ARGV[4])
local LIMITS, NUMBERS = 3, 5
local GRANTED, REFUSED = 1, 0

forget_before_jump(HOLD)
local hold = redis.call('HMGET', HOLD, 'stop', 'next')
local stop, free = tonumber(hold[1] or 0), tonumber(hold[2] or 0)

-- Requests that come during a hold, or while others start after it, get places behind it, one step apart.
local function behind(due)
  if free <= NOW then return due end
  due = math.max(due, free)
  redis.call('HSET', HOLD, 'next', string.format('%.0f', due + STEP_MS), 'at', string.format('%.0f', NOW))
  redis.call('PEXPIRE', HOLD, string.format('%.0f', due + STEP_MS - NOW + 1000))
  return due
end

local function granted(due)
  local kept = math.max(0, due - NOW) + REMEMBER_MS
  redis.call('SET', RECORD, string.format('%.0f', due), 'PX', string.format('%.0f', kept))
  return {GRANTED, math.max(0, due - NOW), 0}
end

-- Already granted: our own retry, or a waiting request that checks whether a hold came in between.
local due = tonumber(redis.call('GET', RECORD) or nil)
if due and due - NOW > 2 * PATIENCE_MS + 1000 then due = NOW end -- nobody waits as long: the clock was set back
if due then
  if stop <= NOW or due >= stop then return {GRANTED, math.max(0, due - NOW), 0} end
  if free - NOW > HELD_MS then return {REFUSED, free - NOW, 0} end
  return granted(behind(due))
end

local found, wait, which, closed = limits(LIMITS, NUMBERS), math.max(0, free - NOW), 0, false
for i, limit in ipairs(found) do
  local over, needs = limit.used + limit.cost - limit.most, 0
  if limit.rate == 0 then
    if over > 0 then needs, closed = MIDNIGHT - NOW, true end
  else
    -- A request larger than the whole limit starts when nothing is in use, and leaves a debt.
    needs = math.ceil(math.max(0, math.min(over, limit.used)) / limit.rate)
  end
  if needs > wait then wait, which = needs, i end
end
if closed or wait > PATIENCE_MS then return {REFUSED, wait, which} end
if free - NOW > HELD_MS then return {REFUSED, free - NOW, 0} end
for _, limit in ipairs(found) do use(limit) end
return granted(behind(NOW + wait))
