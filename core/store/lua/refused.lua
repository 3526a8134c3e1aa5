-- refused: the platform wants nobody to call for a while, and its limit is lower than we thought.
local STATE = KEYS[1]
local HOLD_MS, LIMIT, STAY_MS = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', STATE, 'held', '1 ' .. (now + HOLD_MS), 'limit', LIMIT .. ' ' .. (now + HOLD_MS + STAY_MS))
redis.call('PEXPIRE', STATE, HOLD_MS + STAY_MS)
