-- forget: forget these exchanges and answered questions; with EPOCH, the running turn will not be stored either.
-- ARGV: EPOCH ENTRIES...
local EPOCH = ARGV[7]
local ENTRIES = 8
local count = 0
for i = ENTRIES, #ARGV do
  count = count + redis.call('LREM', HISTORY, 1, ARGV[i])
  redis.call('LREM', ENDED, 1, ARGV[i])
end
if EPOCH == '1' then
  redis.call('HINCRBY', CONV, 'epoch', 1)
  redis.call('PEXPIRE', CONV, TTL_MS)
end
return count
