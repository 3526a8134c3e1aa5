-- commit: end the turn at the head of the inbox, store its exchange, and take the next turn or release the lease.
-- ARGV: FENCE TURN EXCHANGE EPOCH KEEP AGAIN AGAIN_KEEP REPLACES ALSO...
local FENCE, TURN, EXCHANGE, EPOCH, KEEP = ARGV[6], ARGV[7], ARGV[8], ARGV[9], tonumber(ARGV[10])
local AGAIN, AGAIN_KEEP, REPLACES = ARGV[11], tonumber(ARGV[12]), ARGV[13]
local ALSO = 14 -- from here on: the other questions answered with this one, each with its entry at that time

local ours = running(TURN)
-- A question may be accepted again after its first delivery is forgotten: then the running turn is not done.
local done = not ours and redis.call('HGET', CONV, 'done') == TURN
if not holds(FENCE) or not (ours or done) then return {done and 'IDLE' or 'STALE'} end
-- A retry after a lost answer finds the turn done and only returns what comes next.
if not done then
  even_when_full()
  redis.call('LPOP', INBOX)
  for i = ALSO, #ARGV, 2 do
    local answered = entry(INBOX, ARGV[i])
    if not answered then
      EXCHANGE, AGAIN = '', '' -- deleted meanwhile: do not store what quotes it
    elseif ARGV[i + 1] == '' or answered == ARGV[i + 1] then
      redis.call('LREM', INBOX, 1, answered) -- one edited meanwhile keeps its place and gets its own answer
    end
  end
  redis.call('HSET', CONV, 'done', TURN, 'attempts', 0)
  redis.call('HDEL', CONV, 'progress', 'request', 'stop', 'retract', 'unread', 'lost')
  -- A regenerated answer replaces the old one, which is no longer on screen; if there is no new one, it still is.
  local place
  if REPLACES ~= '' then
    local old, at = entry(HISTORY, REPLACES)
    place = at
    local known = entry(ENDED, REPLACES)
    if known and (EXCHANGE ~= '' or not old) then redis.call('LREM', ENDED, 1, known) end
  end
  -- After a reset, do not store an answer that was begun before it.
  if EPOCH == (redis.call('HGET', CONV, 'epoch') or '0') then
    if EXCHANGE ~= '' and place then
      redis.call('LSET', HISTORY, place, EXCHANGE)
    elseif EXCHANGE ~= '' then
      redis.call('RPUSH', HISTORY, EXCHANGE)
      redis.call('LTRIM', HISTORY, -KEEP, -1)
    end
    if AGAIN ~= '' then
      redis.call('LPUSH', ENDED, AGAIN)
      redis.call('LTRIM', ENDED, 0, AGAIN_KEEP - 1)
    end
  end
  forget_aged()
  if redis.call('LLEN', INBOX) > 0 then redis.call('HINCRBY', CONV, 'attempts', 1) end
end
if redis.call('LLEN', INBOX) == 0 then
  redis.call('ZREM', LEASES, NAME)
  keep()
  return {'IDLE'}
end
redis.call('HDEL', CONV, 'free') -- a repeated commit takes back what was handed back under this token
redis.call('ZADD', LEASES, now() + LEASE_MS, NAME)
keep()
return {'NEXT', snapshot()}
