-- settle: use more under these limits than was reserved, or give back; once for each MARK.
-- KEYS: MARK RECORD LIMITS...
-- ARGV: REMEMBER_MS TAKEN NUMBERS...
local MARK, RECORD = KEYS[1], KEYS[2]
local REMEMBER_MS, TAKEN = ARGV[1], ARGV[2]
local LIMITS, NUMBERS = 3, 3
-- A request that was never granted reserved nothing that could be given back.
if TAKEN == '1' and redis.call('EXISTS', RECORD) == 0 then return 0 end
if not redis.call('SET', MARK, '1', 'NX', 'PX', REMEMBER_MS) then return 0 end
for _, limit in ipairs(limits(LIMITS, NUMBERS)) do use(limit) end
return 1
