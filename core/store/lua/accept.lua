-- accept: queue a question once, and claim its conversation if nobody holds it.
-- KEYS: DEDUPE
-- ARGV: REQUEST ENTRY DEDUPE_MS INBOX_LIMIT KEEP_MS CLAIM
local DEDUPE = KEYS[8]
local REQUEST, ENTRY, DEDUPE_MS, INBOX_LIMIT, KEEP_MS, CLAIM =
  ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10], ARGV[11]

local known = redis.call('GET', DEDUPE)
if known then
  -- Our own retry after a lost answer gets that answer again; any other delivery is a duplicate.
  if known ~= REQUEST then return {'DUPLICATE'} end
  if redis.call('HGET', CONV, 'request') == REQUEST and held() then return {'CLAIMED', snapshot()} end
  local _, place = entry(INBOX, string.match(ENTRY, '^([^,|]*)'))
  return {'QUEUED', place or 0}
end
local waiting = redis.call('LLEN', INBOX)
if waiting >= INBOX_LIMIT then return {'FULL', waiting} end
redis.call('SET', DEDUPE, REQUEST, 'PX', DEDUPE_MS)
-- Where nothing waits, nothing runs: what is left of a turn whose question the server lost is not this question's. Its
-- answer would overwrite that turn's messages. (A full server must refuse the write before this one.)
if waiting == 0 then redis.call('HDEL', CONV, 'progress', 'attempts', 'unread') end
redis.call('RPUSH', INBOX, ENTRY)
TTL_MS = tonumber(KEEP_MS)
redis.call('HSET', CONV, 'keep', KEEP_MS)
keep()
if held() then return {'QUEUED', waiting} end
if CLAIM == '0' then
  redis.call('ZADD', LEASES, 'NX', now(), NAME)
  redis.call('PEXPIRE', LEASES, LONGEST_MS)
  redis.call('PUBLISH', SPACE .. ':free', NAME)
  return {'QUEUED', waiting}
end
redis.call('HSET', CONV, 'request', REQUEST)
-- If others still wait, the lease has expired: the claim is for the head of the inbox, which is not this question.
return {'CLAIMED', claim()}
