-- Shared by the steps of mailbox.py. Every step gets the same first keys, all in one slot, and first arguments.
-- KEYS: CONV INBOX HISTORY ENDED LEASES IN_CHANNEL IN_WORKSPACE
-- ARGV: NAME LEASE_MS LONGEST_MS WINDOW WINDOW_BYTES
local CONV, INBOX, HISTORY, ENDED, LEASES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local IN_CHANNEL, IN_WORKSPACE = KEYS[6], KEYS[7]
local NAME, LEASE_MS, LONGEST_MS, WINDOW, WINDOW_BYTES =
  ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
-- The part of Redis that belongs to this bot: its keys and signals begin with it.
local SPACE = string.match(CONV, '^[^:]*')
-- How long this conversation is kept: its own time, if it has one.
local TTL_MS = tonumber(redis.call('HGET', CONV, 'keep') or LONGEST_MS)

-- The server's clock, in milliseconds, because the processes' own clocks differ.
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Whether somebody holds the conversation. A lease that ends much later than its own length allows was given before the
-- server's clock was set back, and would hold the conversation for as long as the clock jumped: it is none.
local function held()
  local lease, time = tonumber(redis.call('ZSCORE', LEASES, NAME) or 0), now()
  local length = tonumber(redis.call('HGET', CONV, 'lease') or LEASE_MS)
  return lease > time and lease <= time + 2 * length
end

-- A Redis whose memory is full refuses commands that may need more of it, unless the script has already written
-- (redis.io, Key eviction: noeviction). Steps that end or continue accepted work begin with this write.
local function even_when_full()
  redis.call('PEXPIRE', CONV, TTL_MS)
end

-- Note in an index when this conversation expires. Those that have expired leave it, and it expires with the last one.
local function index(key, left)
  redis.call('ZADD', key, now() + left, NAME)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now())
  redis.call('PEXPIRE', key, string.format('%.0f', math.max(left, redis.call('PTTL', key))))
end

local function keep()
  for _, key in ipairs({CONV, INBOX, HISTORY, ENDED}) do redis.call('PEXPIRE', key, TTL_MS) end
  redis.call('PEXPIRE', LEASES, LONGEST_MS)
  index(IN_CHANNEL, TTL_MS)
  index(IN_WORKSPACE, TTL_MS)
end

-- Whether this is one of the words of an entry, which come before the bar. An entry whose words can't be read is named
-- by its digest.
local function has(entry, word)
  if string.sub(word, 1, 11) == 'unreadable/' then return word == 'unreadable/' .. redis.sha1hex(entry) end
  local words = string.match(entry, '^([^|]*)|')
  return words and string.find(',' .. words .. ',', ',' .. word .. ',', 1, true) ~= nil
end

-- Whether an exchange is older than this conversation keeps its history.
local function aged(exchange)
  local at = string.match(exchange, '^[^|]*,@(%-?%d+)|')
  return at and tonumber(at) > 0 and tonumber(at) * 1000 < now() - TTL_MS
end

local function forget_aged()
  local oldest = redis.call('LINDEX', HISTORY, 0)
  while oldest and aged(oldest) do
    redis.call('LPOP', HISTORY)
    oldest = redis.call('LINDEX', HISTORY, 0)
  end
end

-- The newest exchanges within the window, oldest first. It reads from the end: the cost does not grow with the list.
local function newest()
  local newer, size, last = {}, 0, -1
  while #newer < WINDOW do
    local first = math.max(last - 15, -WINDOW)
    local batch = redis.call('LRANGE', HISTORY, first, last)
    for i = #batch, 1, -1 do
      size = size + #batch[i]
      if size > WINDOW_BYTES or aged(batch[i]) then batch = {}; break end
      newer[#newer + 1] = batch[i]
    end
    if #batch < last - first + 1 then break end
    last = first - 1
  end
  local entries, count = {}, #newer
  for i = 1, count do entries[i] = newer[count + 1 - i] end
  return entries
end

-- All that a turn needs: the question at the head of the inbox and what is known about it.
local function snapshot()
  local state = redis.call('HMGET', CONV, 'fence', 'attempts', 'epoch', 'progress', 'retract')
  local head = redis.call('LINDEX', INBOX, 0)
  return {
    head, tonumber(state[1]), tonumber(state[2]), tonumber(state[3] or '0'), state[4] or '',
    state[5] and has(head, state[5]) and 1 or 0, newest(),
  }
end

-- Take the lease under a new fencing token; the previous holder can no longer write. The token is the time in µs: a
-- server that lost its last writes (a failover, a crash between two fsyncs) must not issue a token that is in use.
local function claim()
  local time, last = redis.call('TIME'), tonumber(redis.call('HGET', CONV, 'fence') or 0)
  local fence = math.max(last + 1, tonumber(time[1]) * 1000000 + tonumber(time[2]))
  redis.call('HSET', CONV, 'fence', string.format('%.0f', fence))
  redis.call('HSET', CONV, 'lease', LEASE_MS)
  redis.call('HINCRBY', CONV, 'attempts', 1)
  redis.call('ZADD', LEASES, now() + LEASE_MS, NAME)
  keep()
  return snapshot()
end

-- Whether this holder's token is the newest. If it is newer than the stored one, the server lost its last writes.
-- Nobody has claimed since, because later tokens are higher, so put it back.
local function holds(fence)
  local known = tonumber(redis.call('HGET', CONV, 'fence') or 0)
  if known < tonumber(fence) then
    redis.call('HSET', CONV, 'fence', fence, 'lost', fence)
    redis.call('PEXPIRE', CONV, TTL_MS)
    return true
  end
  return known == tonumber(fence)
end

-- The entry of a list that has this word, and its index.
local function entry(list, word)
  for i, found in ipairs(redis.call('LRANGE', list, 0, -1)) do
    if has(found, word) then return found, i - 1 end
  end
end

-- Hand the conversation back under this holder's token, once: a repeated call must not count twice.
local function hand_back(fence)
  if redis.call('HGET', CONV, 'free') == fence then return end
  redis.call('HINCRBY', CONV, 'attempts', -1)
  redis.call('HSET', CONV, 'free', fence)
  -- The lease ends now, not at zero: the conversation that waits longest is taken over first.
  redis.call('ZADD', LEASES, now(), NAME)
  redis.call('PEXPIRE', LEASES, LONGEST_MS)
end

-- Whether this turn, and no other, is at the head of the inbox.
local function running(turn)
  local head = redis.call('LINDEX', INBOX, 0)
  return head and has(head, turn)
end
