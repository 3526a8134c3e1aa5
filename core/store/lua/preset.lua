-- preset: write a preset, or remove it without VALUE, unless somebody changed it since it was read. BEFORE: the words
-- of the one that was read, empty if there was none. Returns 1 if it is done, also by an earlier call whose answer was
-- lost, 0 if somebody was faster, 2 if there are MOST.
-- KEYS: PRESETS
-- ARGV: NAME BEFORE VALUE MOST
local PRESETS = KEYS[1]
local NAME, BEFORE, VALUE, MOST = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
-- Two people may save or delete one name at the same time: the second must not take over what it has no right to.
local known = redis.call('HGET', PRESETS, NAME) or ''
if known == VALUE then return 1 end -- each saving has its own revision in VALUE
if string.match(known, '^[^|]*') ~= BEFORE then return 0 end
if VALUE == '' then
  redis.call('HDEL', PRESETS, NAME)
elseif known == '' and redis.call('HLEN', PRESETS) >= MOST then
  return 2
else
  redis.call('HSET', PRESETS, NAME, VALUE)
end
return 1
