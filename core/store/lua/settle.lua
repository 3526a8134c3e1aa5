-- settle: use more under these limits than was reserved, or give back; once for each name.
local MARK, RECORD = KEYS[1], KEYS[2]
local REMEMBER_MS, TAKEN = ARGV[1], ARGV[2]
-- A step that never came here reserved nothing that could be given back.
if TAKEN == '1' and redis.call('EXISTS', RECORD) == 0 then return 0 end
if not redis.call('SET', MARK, '1', 'NX', 'PX', REMEMBER_MS) then return 0 end
for _, limit in ipairs(limits(3, 3)) do use(limit) end
return 1
