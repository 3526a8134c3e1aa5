-- rate: count a vote; it replaces an earlier vote by the same person on the same answer. A good one needs no reason.
-- KEYS: VOTES COUNTS REASONS
-- ARGV: PERSON VOTE MODEL WORDS TTL_MS
local VOTES, COUNTS, REASONS = KEYS[1], KEYS[2], KEYS[3]
local PERSON, VOTE, MODEL, WORDS, TTL_MS = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local before = redis.call('HGET', VOTES, PERSON)
local vote = VOTE .. ' ' .. MODEL
if before == vote then return end
if before then
  -- Versions before this one stored no model; another one may have regenerated the answer since.
  local counted = string.find(before, ' ', 1, true) and before or (before .. ' ' .. MODEL)
  redis.call('HINCRBY', COUNTS, counted, -1)
end
redis.call('HSET', VOTES, PERSON, vote)
redis.call('HINCRBY', COUNTS, vote, 1)
if VOTE == 'good' then
  for _, each in ipairs(redis.call('LRANGE', REASONS, 0, -1)) do
    if string.sub(each, 1, #WORDS) == WORDS then redis.call('LREM', REASONS, 0, each) end
  end
end
redis.call('PEXPIRE', VOTES, TTL_MS)
redis.call('PEXPIRE', COUNTS, TTL_MS)
