-- Shared by the steps of mailbox.py. Every step gets the same first keys, all in one slot, and first arguments.
-- KEYS: CONV LINE TURNS HISTORY ENDED SUMMARIES VERSIONS LANES IN_CHANNEL IN_WORKSPACE
-- ARGV: NAME LEASE_MS LONGEST_MS WINDOW WINDOW_BYTES DEDUPE_MS
local CONV, LINE, TURNS, HISTORY, ENDED, SUMMARIES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local VERSIONS, LANES, IN_CHANNEL, IN_WORKSPACE = KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local NAME, LEASE_MS, LONGEST_MS, WINDOW, WINDOW_BYTES, DEDUPE_MS =
  ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
-- The part of Redis that belongs to this bot: its keys and signals begin with it.
local SPACE = string.match(CONV, '^[^:]*')
-- How long this conversation is kept: its own time, if it has one.
local TTL_MS = tonumber(redis.call('HGET', CONV, 'keep') or LONGEST_MS)

-- The server's clock, in milliseconds, because the processes' own clocks differ.
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- A Redis whose memory is full refuses commands that may need more of it, unless the script has already written
-- (redis.io, Key eviction: noeviction). Steps that end or continue accepted work begin with this write.
local function even_when_full()
  redis.call('PEXPIRE', CONV, TTL_MS)
end

-- Note in a set when this member expires. Those that have expired leave it, and it expires with the last one.
local function index(key, member, left)
  redis.call('ZADD', key, now() + left, member)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now())
  redis.call('PEXPIRE', key, string.format('%.0f', math.max(left, redis.call('PTTL', key))))
end

local function keep()
  for _, key in ipairs({CONV, LINE, TURNS, HISTORY, ENDED, SUMMARIES, VERSIONS}) do
    redis.call('PEXPIRE', key, TTL_MS)
  end
  redis.call('PEXPIRE', LANES, LONGEST_MS)
  index(IN_CHANNEL, NAME, TTL_MS)
  index(IN_WORKSPACE, NAME, TTL_MS)
end

-- The words of an entry, which come before the bar; nil if they can't be read.
local function words(entry)
  return string.match(entry, '^([^|]*)|')
end

-- Whether this is one of the words of an entry. An entry whose words can't be read is named by its digest.
local function has(entry, word)
  if string.sub(word, 1, 11) == 'unreadable/' then return word == 'unreadable/' .. redis.sha1hex(entry) end
  local found = words(entry)
  return found and string.find(',' .. found .. ',', ',' .. word .. ',', 1, true) ~= nil
end

-- The entry of a list that has this word, and its index.
local function entry(list, word)
  for i, found in ipairs(redis.call('LRANGE', list, 0, -1)) do
    if has(found, word) then return found, i - 1 end
  end
end

-- Lanes -------------------------------------------------------------------------------------------------------------
-- The line holds the questions of all lanes in order of arrival. Each entry names its lane; the first of a lane is its
-- head. A lane is held while the lease of its head has not ended, and PARALLEL lanes may be held at once.

local function lane_of(found)
  return string.match(words(found) or '', ',%^([^,]*)') or ''
end

-- The name of a lane among those of all conversations.
local function named(lane)
  return lane == '' and NAME or NAME .. '/lane/' .. lane
end

-- The name of an entry's turn.
local function turn_id(found)
  return string.match(found, '^([^,|]+)[^|]*|') or redis.sha1hex(found)
end

-- What is known of an entry's turn since its first claim; nil before that.
local function turn_of(found)
  local known = redis.call('HGET', TURNS, turn_id(found))
  return known and cjson.decode(known) or nil
end

local function store(found, turn)
  redis.call('HSET', TURNS, turn_id(found), cjson.encode(turn))
end

local function forget_turn(found)
  redis.call('HDEL', TURNS, turn_id(found))
end

-- Whether somebody holds the lane with this head. A lease that ends much later than its own length allows was given
-- before the server's clock was set back, and would hold the lane for as long as the clock jumped: it is none.
local function held(head)
  local lease, time = tonumber(redis.call('ZSCORE', LANES, named(lane_of(head))) or 0), now()
  if lease <= time then return false end
  local turn = turn_of(head)
  return lease <= time + 2 * (turn and turn.lease or LEASE_MS)
end

-- The heads of the lanes that nobody holds, in order of arrival, and for how many of them there is room.
local function waiting_heads()
  local seen, heads, room = {}, {}, tonumber(redis.call('HGET', CONV, 'parallel') or 1)
  for _, found in ipairs(redis.call('LRANGE', LINE, 0, -1)) do
    local lane = lane_of(found)
    if not seen[lane] then
      seen[lane] = true
      if held(found) then room = room - 1 else heads[#heads + 1] = found end
    end
  end
  return heads, math.max(0, room)
end

local function head_of(lane)
  for _, each in ipairs(redis.call('LRANGE', LINE, 0, -1)) do
    if lane_of(each) == lane then return each end
  end
end

-- Let others know of a lane that nobody holds.
local function publish_free(lane)
  redis.call('PUBLISH', SPACE .. ':free', named(lane))
end

-- While there is room, those that wait longest must be found by whoever looks for work. Called at the end of each step
-- that may leave room.
local function offer()
  local heads, room = waiting_heads()
  for i = 1, math.min(#heads, room) do
    local lane = lane_of(heads[i])
    if redis.call('ZADD', LANES, 'NX', now(), named(lane)) == 1 then publish_free(lane) end
  end
  redis.call('PEXPIRE', LANES, LONGEST_MS)
end

-- How many questions must end before this one can begin.
local function ahead(word)
  local mine, before = nil, {}
  for _, found in ipairs(redis.call('LRANGE', LINE, 0, -1)) do
    if has(found, word) then mine = found; break end
    before[lane_of(found)] = (before[lane_of(found)] or 0) + 1
  end
  if not mine then return nil end
  if before[lane_of(mine)] then return before[lane_of(mine)] end
  if held(mine) then return 0 end
  local heads, room = waiting_heads()
  for place, head in ipairs(heads) do
    if head == mine then return math.max(0, place - room) end
  end
end

-- History -----------------------------------------------------------------------------------------------------------

-- Whether an exchange is older than this conversation keeps its history.
local function aged(exchange)
  local at = string.match(exchange, '^[^|]*,@(%-?%d+)|')
  return at and tonumber(at) > 0 and tonumber(at) * 1000 < now() - TTL_MS
end

-- When the oldest exchange was stored that a summary tells of, in seconds; 0 if that is not known.
local function since(summary)
  return tonumber(string.match(summary, '^[^|]*,@(%d+)|') or 0)
end

-- CONV remembers by digests, in `forgotten`, which messages were of exchanges that were forgotten: they may still be on
-- screen, and must not be read there again. Each exchange is a word `<digests>@<time>`, for as long as it would have
-- been in the history, and there are at most as many as the history has.

local function digest_of(word)
  return string.sub(redis.sha1hex(word), 1, 10)
end

-- Keep the newest of these that are not too old.
local function remember_forgotten(all)
  local left = {}
  for i = #all, 1, -1 do
    local at = tonumber(string.match(all[i], '@(%d+)$') or 0)
    if #left < WINDOW and (at == 0 or at * 1000 >= now() - TTL_MS) then table.insert(left, 1, all[i]) end
  end
  if #left > 0 then
    redis.call('HSET', CONV, 'forgotten', table.concat(left, ' '))
    redis.call('PEXPIRE', CONV, TTL_MS)
  else
    redis.call('HDEL', CONV, 'forgotten')
  end
end

local function forgotten()
  local found = {}
  for each in string.gmatch(redis.call('HGET', CONV, 'forgotten') or '', '%S+') do found[#found + 1] = each end
  return found
end

-- These exchanges were forgotten: the messages of the last of them are not to be read again.
local function not_again(exchanges)
  local all = forgotten()
  for i = math.max(1, #exchanges - WINDOW + 1), #exchanges do
    local each, messages = exchanges[i], {}
    for word in string.gmatch(string.match(words(each) or '', ',(.*)') or '', '[^,]+') do
      if string.sub(word, 1, 1) ~= '@' then messages[#messages + 1] = digest_of(word) end
    end
    if #messages > 0 then
      all[#all + 1] = table.concat(messages, ',') .. '@' .. string.format('%.0f', since(each))
    end
  end
  remember_forgotten(all)
end

-- Also the summaries that tell of something older. CONV remembers the oldest of all, so that usually nobody looks.
local function forget_aged()
  local gone = forgotten()
  if #gone > 0 then remember_forgotten(gone) end
  local oldest = redis.call('LINDEX', HISTORY, 0)
  while oldest and aged(oldest) do
    redis.call('LPOP', HISTORY)
    oldest = redis.call('LINDEX', HISTORY, 0)
  end
  local first = tonumber(redis.call('HGET', CONV, 'since') or 0)
  if first == 0 or first * 1000 >= now() - TTL_MS then return end
  local summaries, left = redis.call('HGETALL', SUMMARIES), math.huge
  for i = 1, #summaries, 2 do
    local at = since(summaries[i + 1])
    if aged(summaries[i + 1]) then
      redis.call('HDEL', SUMMARIES, summaries[i])
    elseif at > 0 then
      left = math.min(left, at)
    end
  end
  redis.call('HDEL', CONV, 'since')
  if left < math.huge then redis.call('HSET', CONV, 'since', string.format('%.0f', left)) end
end

-- Forget the summaries that tell of any exchange of this turn, message or person. Returns how many there were. The
-- words of a summary are digests of all of these, also of those that have left the history since.
local function forget_summaries(word)
  local digest, summaries, count = digest_of(word), redis.call('HGETALL', SUMMARIES), 0
  for i = 1, #summaries, 2 do
    if has(summaries[i + 1], digest) then count = count + redis.call('HDEL', SUMMARIES, summaries[i]) end
  end
  return count
end

-- Versions: the other answers to the questions in ENDED, at most so many bytes of them. Each is an exchange that
-- another one replaced, as it was in the history.

-- The turn that answered the question of this one first.
local function first_turn(turn)
  return string.match(turn, '^(.-)#%d+$') or string.match(turn, '^(.-)#%d+%.%x+$') or turn
end

-- Forget the versions of the question that this turn answered.
local function forget_versions(turn)
  for _, each in ipairs(redis.call('LRANGE', VERSIONS, 0, -1)) do
    if first_turn(turn_id(each)) == first_turn(turn) then redis.call('LREM', VERSIONS, 1, each) end
  end
end

-- Forget those that are too old or too long, or to which nobody can turn any more.
local function tidy_versions()
  local versions, asked, size = redis.call('LRANGE', VERSIONS, 0, -1), {}, 0
  if #versions == 0 then return end
  for _, each in ipairs(redis.call('LRANGE', ENDED, 0, -1)) do asked[first_turn(turn_id(each))] = true end
  for i = #versions, 1, -1 do
    local each = versions[i]
    size = size + #each
    if size > 4 * WINDOW_BYTES or aged(each) or not asked[first_turn(turn_id(each))] then
      redis.call('LREM', VERSIONS, 1, each)
    end
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

-- Turns -------------------------------------------------------------------------------------------------------------
-- A turn begins with the first claim of a question and ends with its commit. Whoever claimed it last has the newest
-- fencing token, and nobody else can write.

-- All that a turn needs: its question and what is known about it.
local function snapshot(found)
  local turn = turn_of(found)
  return {
    found, lane_of(found), tonumber(turn.fence), turn.attempts, tonumber(redis.call('HGET', CONV, 'epoch') or '0'),
    turn.progress or '', turn.retract and 1 or 0, newest(), redis.call('HGET', CONV, 'forgotten') or '',
  }
end

local function lease(found)
  redis.call('ZADD', LANES, now() + LEASE_MS, named(lane_of(found)))
  redis.call('PEXPIRE', LANES, LONGEST_MS)
end

-- Remember a token that was issued, if it is the newest.
local function issued(token)
  local known = tonumber(redis.call('HGET', CONV, 'fence') or 0)
  if known < tonumber(token) then redis.call('HSET', CONV, 'fence', token) end
end

-- Take a lane under a new fencing token. The token is the time in µs: a server that lost its last writes (a failover, a
-- crash between two fsyncs) must not issue a token that is in use. REQUEST is the call that claims, AFTER the turn
-- whose commit does: if the answer gets lost, its repetition finds the turn by them.
local function claim(found, request, after)
  local time, last = redis.call('TIME'), tonumber(redis.call('HGET', CONV, 'fence') or 0)
  local turn = turn_of(found) or {attempts = 0}
  turn.fence = string.format('%.0f', math.max(last + 1, tonumber(time[1]) * 1000000 + tonumber(time[2])))
  turn.attempts, turn.lease, turn.request, turn.after, turn.free = turn.attempts + 1, LEASE_MS, request, after, nil
  issued(turn.fence)
  store(found, turn)
  lease(found)
  keep()
  return snapshot(found)
end

-- The head of the lane that waits longest, if there is room. Two kinds are left to those that look for work: one that
-- could not be read, because another process may be able to, and one whose lease ran out, because its holder may be
-- alive and renew it, as after an outage.
local function next_head()
  local heads, room = waiting_heads()
  for i = 1, math.min(#heads, room) do
    local turn = turn_of(heads[i])
    if not turn or (turn.free and not (turn.unread and turn.unread > 0)) then return heads[i] end
  end
end

-- The head that this step claimed when it ran first; its answer was lost.
local function claimed_by(field, value)
  for _, found in ipairs(redis.call('LRANGE', LINE, 0, -1)) do
    local turn = turn_of(found)
    if turn and turn[field] == value then return found, turn end
  end
end

-- What a token says about a turn: 'held' with its entry; 'ended' under this token; 'lost' by the server; or 'stale', as
-- another process has a newer one. ENDING is the key that remembers the question, and how its turn ended. If the token
-- is newer than the one that is stored, the server lost its last writes. Nobody has claimed since, because later tokens
-- are higher, so put it back.
local function standing(name, fence, ending)
  local found = entry(LINE, name)
  if not found then
    local how = redis.call('GET', ending)
    if how then return string.find(how, 'ended/' .. fence .. '/', 1, true) == 1 and 'ended' or 'stale' end
    -- How a turn ended is forgotten after a while, but not so soon after its claim, of which the token is the time.
    return tonumber(fence) / 1000 > now() - DEDUPE_MS and 'lost' or 'stale'
  end
  local turn = turn_of(found) or {attempts = 1, lease = LEASE_MS}
  local known = tonumber(turn.fence or 0)
  if known > tonumber(fence) then return 'stale' end
  if known < tonumber(fence) then
    even_when_full()
    turn.fence = fence
    store(found, turn)
    issued(fence)
  end
  return 'held', found, turn
end

-- Hand a lane back, once: a repeated call must not count twice.
local function hand_back(found, turn)
  if turn.free then return end
  turn.attempts, turn.free = turn.attempts - 1, true
  store(found, turn)
  -- The lease ends now, not at zero: the lane that waits longest is taken over first.
  redis.call('ZADD', LANES, now(), named(lane_of(found)))
  redis.call('PEXPIRE', LANES, LONGEST_MS)
end
