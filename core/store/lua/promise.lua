-- promise: count an end that is owed from now on, if the window will have a call for it; an end that is certain to come
-- is counted in any case. Returns whether it was, the limit, and what all processes owe.
-- KEYS: CALLS STATE PLAN
-- ARGV: PROCESS MOST WINDOW_MS MARGIN OWED ARRIVALS KEEP_MS CERTAIN
local CALLS, STATE, PLAN = KEYS[1], KEYS[2], KEYS[3]
local PROCESS, MOST, WINDOW_MS, MARGIN = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local OWED, ARRIVALS, KEEP_MS, CERTAIN = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local owed, arrivals = plan(PLAN, PROCESS, OWED, ARRIVALS, KEEP_MS)
local limit, stop = string.match(redis.call('HGET', STATE, 'limit') or '', '^(%d+) (%d+)$')
limit = stop and tonumber(stop) > NOW and math.min(MOST, tonumber(limit)) or MOST
local used = redis.call('ZCOUNT', CALLS, NOW - WINDOW_MS, NOW + WINDOW_MS)
if CERTAIN == 1 or used + owed <= limit - MARGIN then return {1, limit, owed, arrivals} end
owed, arrivals = plan(PLAN, PROCESS, OWED - 1, ARRIVALS, KEEP_MS)
return {0, limit, owed, arrivals}
