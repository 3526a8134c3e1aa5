-- accept: queue a question once, and claim the lane that waits longest if there is room for one more. THREAD is the
-- thread that the question is in, or that it OPENS; empty if there can be none. LINK: a bot's question extends the
-- CHAIN of its place, which a person's ends; one that would be longer than MOST is not stored, whenever it is delivered
-- again.
-- KEYS: DEDUPE ASKED CHAIN
-- ARGV: REQUEST ENTRY INBOX_LIMIT KEEP_MS PARALLEL CLAIM THREAD OPENS PERSON ASKED_MS LINK MOST CHAIN_MS
local DEDUPE = KEYS[11]
local ASKED = KEYS[12]
local CHAIN = KEYS[13]
local REQUEST, ENTRY, INBOX_LIMIT = ARGV[7], ARGV[8], tonumber(ARGV[9])
local KEEP_MS, PARALLEL, CLAIM = ARGV[10], ARGV[11], ARGV[12]
local THREAD, OPENS, PERSON, ASKED_MS = ARGV[13], ARGV[14], ARGV[15], tonumber(ARGV[16])
local LINK, MOST, CHAIN_MS = ARGV[17], tonumber(ARGV[18]), ARGV[19]

local id = string.match(ENTRY, '^([^,|]*)')
local known = redis.call('GET', DEDUPE)
if known then
  local length = string.match(known, '^silent/(%d+)$')
  if length then return {'SILENT', tonumber(length)} end
  -- Our own retry after a lost answer gets that answer again; any other delivery is a duplicate.
  if string.match(known, '[^/]*$') ~= REQUEST then return {'DUPLICATE'} end
  local claimed = claimed_by('request', REQUEST)
  if claimed and held(claimed) then return {'CLAIMED', snapshot(claimed)} end
  return {'QUEUED', ahead(id) or 0}
end
local waiting, in_lane = redis.call('LRANGE', LINE, 0, -1), 0
for _, each in ipairs(waiting) do
  if lane_of(each) == lane_of(ENTRY) then in_lane = in_lane + 1 end
end
if in_lane >= INBOX_LIMIT then return {'FULL', in_lane} end
if #waiting >= INBOX_LIMIT * tonumber(PARALLEL) then return {'FULL', #waiting} end
local length = 0
if LINK == 'extends' then
  local before, last = string.match(redis.call('GET', CHAIN) or '', '^(%d+)|(.*)$')
  length = tonumber(before or 0) + (last == id and 0 or 1)  -- the same question again is no further one
  if length > MOST then
    redis.call('SET', DEDUPE, 'silent/' .. length, 'PX', DEDUPE_MS)
    redis.call('SET', CHAIN, length .. '|' .. id, 'PX', CHAIN_MS)
    return {'SILENT', length}
  end
end
redis.call('SET', DEDUPE, REQUEST, 'PX', DEDUPE_MS)
if LINK == 'extends' then redis.call('SET', CHAIN, length .. '|' .. id, 'PX', CHAIN_MS) end
if LINK == 'ends' then redis.call('DEL', CHAIN) end
-- A turn of this name was another delivery's, whose question the server lost: its answer would overwrite that turn's
-- messages. (A full server must refuse the write before this one.)
forget_turn(ENTRY)
redis.call('RPUSH', LINE, ENTRY)
TTL_MS = tonumber(KEEP_MS)
redis.call('HSET', CONV, 'keep', KEEP_MS, 'parallel', PARALLEL)
keep()
if THREAD ~= '' and (OPENS == '1' or tonumber(redis.call('ZSCORE', ASKED, THREAD) or 0) > now()) then
  index(ASKED, THREAD, ASKED_MS)
  index(ASKED, THREAD .. '/' .. PERSON, ASKED_MS)
end
local found = CLAIM == '1' and next_head()
if not found then
  offer()
  return {'QUEUED', ahead(id)}
end
-- Another lane may wait longer, as when it was handed back: then the claim is for that one.
local turn = claim(found, REQUEST)
offer()
return {'CLAIMED', turn}
