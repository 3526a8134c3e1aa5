-- Shared by the steps of turns.py. Every step gets the same keys, all in one slot, and the same first arguments.
local CONV, INBOX, HISTORY, ENDED, LEASES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local NAME, LEASE_MS, TTL_MS, WINDOW, WINDOW_BYTES =
  ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

-- The server's clock, in milliseconds: replicas' own clocks differ.
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- True while somebody holds the conversation.
local function held()
  local lease = redis.call('ZSCORE', LEASES, NAME)
  return lease and tonumber(lease) > now()
end

local function keep()
  for _, key in ipairs({CONV, INBOX, HISTORY, ENDED, LEASES}) do redis.call('PEXPIRE', key, TTL_MS) end
end

-- The newest exchanges within the window, oldest first. Reads from the end, so the cost does not grow with the list.
local function newest()
  local newer, size, last = {}, 0, -1
  while #newer < WINDOW do
    local first = math.max(last - 15, -WINDOW)
    local batch = redis.call('LRANGE', HISTORY, first, last)
    for i = #batch, 1, -1 do
      size = size + #batch[i]
      if size > WINDOW_BYTES then batch = {}; break end
      newer[#newer + 1] = batch[i]
    end
    if #batch < last - first + 1 then break end
    last = first - 1
  end
  local entries, count = {}, #newer
  for i = 1, count do entries[i] = newer[count + 1 - i] end
  return entries
end

-- All that a turn needs: the mention at the head of the inbox and what is known of it.
local function snapshot()
  local state = redis.call('HMGET', CONV, 'fence', 'attempts', 'epoch', 'progress')
  return {
    redis.call('LINDEX', INBOX, 0), tonumber(state[1]), tonumber(state[2]), tonumber(state[3] or '0'), state[4] or '',
    newest(),
  }
end

-- Take the lease under a new fencing token; whoever held it before can no longer write.
local function claim()
  redis.call('HINCRBY', CONV, 'fence', 1)
  redis.call('HINCRBY', CONV, 'attempts', 1)
  redis.call('ZADD', LEASES, now() + LEASE_MS, NAME)
  keep()
  return snapshot()
end

local function holds(fence)
  return redis.call('HGET', CONV, 'fence') == fence
end

-- The entry of a list that holds these words, and its place.
local function entry(list, words)
  for i, found in ipairs(redis.call('LRANGE', list, 0, -1)) do
    if string.find(found, words, 1, true) then return found, i - 1 end
  end
end

-- Whether this turn, and no other, is at the head of the inbox.
local function running(turn)
  local head = redis.call('LINDEX', INBOX, 0)
  return head and string.find(head, '"id":"' .. turn .. '"', 1, true)
end
