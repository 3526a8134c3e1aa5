-- explain: keep why a person voted an answer down, in place of what they said before; 0 if they did not vote so.
-- KEYS: VOTES REASONS
-- ARGV: PERSON WORDS ENTRY MOST TTL_MS
local VOTES, REASONS = KEYS[1], KEYS[2]
local PERSON, WORDS, ENTRY, MOST, TTL_MS = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local vote = redis.call('HGET', VOTES, PERSON)
if not vote or string.sub(vote, 1, 3) ~= 'bad' then return 0 end
for _, each in ipairs(redis.call('LRANGE', REASONS, 0, -1)) do
  if string.sub(each, 1, #WORDS) == WORDS then redis.call('LREM', REASONS, 0, each) end
end
redis.call('LPUSH', REASONS, ENTRY)
redis.call('LTRIM', REASONS, 0, MOST - 1)
redis.call('PEXPIRE', REASONS, TTL_MS)
return 1
