-- claim: take over a lane whose lease expired or was handed back.
-- KEYS: OLD_LINE OLD_LEASES
-- ARGV: LANE
local OLD_LINE, OLD_LEASES = KEYS[11], KEYS[12]
local LANE = ARGV[7]

-- A version without lanes had one line and one lease for each conversation. What it left goes into this line, in front.
local function adopt()
  local left = redis.call('LRANGE', OLD_LINE, 0, -1)
  if #left == 0 then
    redis.call('ZREM', OLD_LEASES, NAME)
    return
  end
  local lease, time = tonumber(redis.call('ZSCORE', OLD_LEASES, NAME) or 0), now()
  if lease > time and lease <= time + 2 * LEASE_MS then return end
  if head_of(LANE) then return end -- a running turn stays the head of its lane
  even_when_full()
  for i = #left, 1, -1 do redis.call('LPUSH', LINE, left[i]) end
  local state = redis.call('HMGET', CONV, 'attempts', 'progress', 'retract', 'stop')
  local turn = {attempts = tonumber(state[1] or 0), fence = '0', lease = LEASE_MS, progress = state[2] or nil}
  turn.retract, turn.stop = state[3] and has(left[1], state[3]) or nil, state[4] and has(left[1], state[4]) or nil
  store(left[1], turn)
  redis.call('DEL', OLD_LINE)
  redis.call('ZREM', OLD_LEASES, NAME)
  redis.call('HDEL', CONV, 'attempts', 'progress', 'retract', 'stop', 'request', 'done', 'free', 'unread', 'lost',
    'lease')
end

if LANE == '' then adopt() end
local head = head_of(LANE)
if not head then
  redis.call('ZREM', LANES, named(LANE))
  offer()
  return {'EMPTY'}
end
if held(head) then return {'HELD'} end
local heads, room = waiting_heads()
for i = 1, math.min(#heads, room) do
  if heads[i] == head then
    even_when_full()
    local turn = claim(head)
    offer()
    return {'CLAIMED', turn}
  end
end
redis.call('ZREM', LANES, named(LANE)) -- others wait longer; whoever ends makes room for it
offer()
return {'HELD'}
