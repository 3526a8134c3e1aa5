-- rate: count a vote; it replaces an earlier vote by the same person on the same answer.
-- KEYS: VOTES COUNTS
-- ARGV: PERSON VOTE MODEL TTL_MS
local VOTES, COUNTS = KEYS[1], KEYS[2]
local PERSON, VOTE, MODEL, TTL_MS = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local before = redis.call('HGET', VOTES, PERSON)
if before == VOTE then return end
if before then redis.call('HINCRBY', COUNTS, before .. ' ' .. MODEL, -1) end
redis.call('HSET', VOTES, PERSON, VOTE)
redis.call('HINCRBY', COUNTS, VOTE .. ' ' .. MODEL, 1)
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, TTL_MS) end
