-- hold: let no request start for this long; those that wait then start one after the other.
-- KEYS: HOLD
-- ARGV: HOLD_MS
local HOLD, HOLD_MS = KEYS[1], tonumber(ARGV[1])
forget_before_jump(HOLD)
local state = redis.call('HMGET', HOLD, 'stop', 'next')
local stop, free = NOW + HOLD_MS, tonumber(state[2] or 0)
-- Requests that were sent together are refused together: keep the first one's hold, and the places behind it.
if tonumber(state[1] or 0) >= stop - 1000 and tonumber(state[1] or 0) > NOW then return 0 end
free = math.max(free, stop)
redis.call('HSET', HOLD, 'stop', string.format('%.0f', stop), 'next', string.format('%.0f', free))
redis.call('HSET', HOLD, 'at', string.format('%.0f', NOW))
redis.call('PEXPIRE', HOLD, string.format('%.0f', free - NOW + 1000))
return 1
