-- Shared by the steps of ratelimits.py: the server's clock, and what is owed under a limit whose calls are promised.
local TIME = redis.call('TIME')
local NOW = tonumber(TIME[1]) * 1000 + math.floor(tonumber(TIME[2]) / 1000)

-- What all processes owe, and how many replies come to them in 1,000 seconds, once this one has told its numbers. It
-- renews them with every step; they are forgotten after `stay` ms without one. A time that is too far ahead was written
-- before the clock was set back.
local function plan(key, process, owed, arrivals, stay)
  if owed + arrivals > 0 then
    redis.call('HSET', key, process, owed .. ' ' .. arrivals .. ' ' .. (NOW + stay))
    redis.call('PEXPIRE', key, stay)
  else
    redis.call('HDEL', key, process)
  end
  local owed_by_all, arriving = 0, 0
  local state = redis.call('HGETALL', key)
  for i = 1, #state, 2 do
    local number, come, stop = string.match(state[i + 1], '^(%d+) (%d+) (%d+)$')
    local left = stop and tonumber(stop) - NOW or -1
    if left < 0 or left > 2 * stay then
      redis.call('HDEL', key, state[i])
    else
      owed_by_all, arriving = owed_by_all + tonumber(number), arriving + tonumber(come)
    end
  end
  return owed_by_all, arriving
end
