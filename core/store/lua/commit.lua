-- commit: end a turn, store its exchange, and take the lane that waits longest, for which there is room now.
-- KEYS: ENDING
-- SHOWS is the version that the exchange holds, if it is one; KEEPS is how many answers a question may have.
-- ARGV: FENCE TURN EXCHANGE EPOCH KEEP AGAIN AGAIN_KEEP REPLACES SHOWS KEEPS ALSO...
local ENDING = KEYS[11]
local FENCE, TURN, EXCHANGE, EPOCH, KEEP = ARGV[7], ARGV[8], ARGV[9], ARGV[10], tonumber(ARGV[11])
local AGAIN, AGAIN_KEEP, REPLACES = ARGV[12], tonumber(ARGV[13]), ARGV[14]
local SHOWS, KEEPS = ARGV[15], tonumber(ARGV[16])
local WRITTEN = EXCHANGE -- is on screen; if it is not stored, it must not be read there again
local ALSO = 17 -- from here on: the other questions answered with this one, each with its entry at that time

-- An answer becomes a version, in place of the one that is shown now. If there are too many, the oldest goes.
local function keep_version(old)
  local shown, oldest, count = SHOWS ~= '' and entry(VERSIONS, SHOWS), nil, 1
  if shown then redis.call('LREM', VERSIONS, 1, shown) end
  redis.call('RPUSH', VERSIONS, old)
  for _, each in ipairs(redis.call('LRANGE', VERSIONS, 0, -1)) do
    if first_turn(turn_id(each)) == first_turn(REPLACES) then
      count = count + 1
      if not oldest or since(each) < since(oldest) then oldest = each end
    end
  end
  if count > KEEPS then redis.call('LREM', VERSIONS, 1, oldest) end
end

local how, mine, ours = standing(TURN, FENCE, ENDING)
if how == 'stale' or how == 'lost' then return {'STALE'} end
-- A retry after a lost answer finds the turn ended and only returns what its first attempt took.
if how == 'ended' then
  local taken, turn = claimed_by('after', TURN)
  if not taken then return {'IDLE'} end
  even_when_full()
  if turn.free then turn.free, turn.attempts = nil, turn.attempts + 1 end -- also what was handed back meanwhile
  store(taken, turn)
  lease(taken)
  return {'NEXT', snapshot(taken)}
end
-- Deleted after the holder looked the last time: it must take the reply away, and commits once more without it.
if (EXCHANGE ~= '' or AGAIN ~= '') and ours.retract then return {'DELETED'} end
even_when_full()
redis.call('LREM', LINE, 1, mine)
forget_turn(mine)
local request = string.match(redis.call('GET', ENDING) or '', '[^/]*$') -- of its accept, which may come once more
redis.call('SET', ENDING, 'ended/' .. FENCE .. '/' .. request, 'PX', DEDUPE_MS)
for i = ALSO, #ARGV, 2 do
  local answered = entry(LINE, ARGV[i])
  if not answered then
    EXCHANGE, AGAIN = '', '' -- deleted meanwhile: do not store what quotes it
  elseif ARGV[i + 1] == '' or answered == ARGV[i + 1] then
    redis.call('LREM', LINE, 1, answered) -- one edited meanwhile keeps its place and gets its own answer
    forget_turn(answered)
  end
end
-- A regenerated answer replaces the old one, which is no longer on screen; if there is no new one, it still is.
local place
if REPLACES ~= '' then
  local old, at = entry(HISTORY, REPLACES)
  place = at
  -- What was forgotten meanwhile must not come back.
  if SHOWS ~= '' and not (old and entry(VERSIONS, SHOWS)) then EXCHANGE, AGAIN = '', '' end
  local known = entry(ENDED, REPLACES)
  if known and (EXCHANGE ~= '' or not old) then redis.call('LREM', ENDED, 1, known) end
end
-- After a reset, or when somebody wants it forgotten, do not store an answer that was begun before.
if not ours.forget and EPOCH == (redis.call('HGET', CONV, 'epoch') or '0') then
  if EXCHANGE ~= '' and REPLACES ~= '' then forget_summaries(REPLACES) end
  if EXCHANGE ~= '' and place then
    if KEEPS > 0 then keep_version(redis.call('LINDEX', HISTORY, place)) else forget_versions(REPLACES) end
    redis.call('LSET', HISTORY, place, EXCHANGE)
  elseif EXCHANGE ~= '' then
    redis.call('RPUSH', HISTORY, EXCHANGE)
    redis.call('LTRIM', HISTORY, -KEEP, -1)
  end
  if AGAIN ~= '' then
    redis.call('LPUSH', ENDED, AGAIN)
    redis.call('LTRIM', ENDED, 0, AGAIN_KEEP - 1)
  end
  WRITTEN = EXCHANGE == '' and WRITTEN or ''
end
if WRITTEN ~= '' then not_again({WRITTEN}) end
forget_aged()
tidy_versions()
redis.call('ZREM', LANES, named(lane_of(mine)))
local found = next_head()
local following = found and claim(found, nil, TURN)
offer()
keep()
if not found then return {'IDLE'} end
return {'NEXT', following}
