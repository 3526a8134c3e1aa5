-- summarise: store a dialogue's summary, unless another entry than OLD is stored now, if only because people have read
-- it, or one of the exchanges that it tells of as well was forgotten or changed meanwhile: these are TOLD.
-- ARGV: THREAD OLD ENTRY TOLD...
local THREAD, OLD, ENTRY = ARGV[7], ARGV[8], ARGV[9]
local TOLD = 10
forget_aged()
local found = redis.call('HGET', SUMMARIES, THREAD) or ''
if found == ENTRY then return 1 end -- our own retry after a lost answer
if found ~= OLD then return 0 end
local remembered = {}
for _, exchange in ipairs(redis.call('LRANGE', HISTORY, 0, -1)) do remembered[turn_id(exchange)] = true end
for i = TOLD, #ARGV do
  if not remembered[ARGV[i]] then return 0 end
end
redis.call('HSET', SUMMARIES, THREAD, ENTRY)
local at, first = since(ENTRY), tonumber(redis.call('HGET', CONV, 'since') or 0)
if at > 0 and (first == 0 or at < first) and redis.call('EXISTS', CONV) == 1 then
  redis.call('HSET', CONV, 'since', string.format('%.0f', at))
end
redis.call('PEXPIRE', SUMMARIES, math.max(1, redis.call('PTTL', HISTORY)))
return 1
