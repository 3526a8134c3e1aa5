-- commit: end the turn at the head of the inbox, remember its exchange, go on with the next one or let go.
-- ARGV: FENCE TURN EXCHANGE EPOCH KEEP AGAIN AGAIN_KEEP REPLACES ALSO...
local FENCE, TURN, EXCHANGE, EPOCH, KEEP = ARGV[6], ARGV[7], ARGV[8], ARGV[9], tonumber(ARGV[10])
local AGAIN, AGAIN_KEEP, REPLACES = ARGV[11], tonumber(ARGV[12]), ARGV[13]
local ALSO = 14 -- from here on: other mentions that were answered with this one, and their entries as they stood then

local ours = running(TURN) or string.sub(TURN, 1, 11) == 'unreadable/'
-- A question may be accepted anew when its first delivery is forgotten: what runs now is not done.
local done = not ours and redis.call('HGET', CONV, 'done') == TURN
if not holds(FENCE) or not (ours or done) then return {done and 'IDLE' or 'STALE'} end
-- A retry after a lost answer finds the turn done and only learns what comes next.
if not done then
  even_when_full()
  redis.call('LPOP', INBOX)
  for i = ALSO, #ARGV, 2 do
    local answered = entry(INBOX, ARGV[i])
    if not answered then
      EXCHANGE, AGAIN = '', '' -- deleted meanwhile: what quotes it is not remembered
    elseif ARGV[i + 1] == '' or answered == ARGV[i + 1] then
      redis.call('LREM', INBOX, 1, answered) -- one that was changed meanwhile keeps its place, and has an answer of its own
    end
  end
  redis.call('HSET', CONV, 'done', TURN, 'attempts', 0)
  redis.call('HDEL', CONV, 'progress', 'request', 'stop', 'retract')
  -- An answer given anew takes the place of the old one, which is not on screen any more; if none came, it still is.
  local place
  if REPLACES ~= '' then
    local old, at = entry(HISTORY, REPLACES)
    place = at
    local known = entry(ENDED, REPLACES)
    if known and (EXCHANGE ~= '' or not old) then redis.call('LREM', ENDED, 1, known) end
  end
  -- After a reset, an answer begun before it is not remembered.
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
redis.call('ZADD', LEASES, now() + LEASE_MS, NAME)
keep()
return {'NEXT', snapshot()}
