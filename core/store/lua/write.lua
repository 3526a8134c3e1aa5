-- write: set a value of a scope, or remove it without VALUE, and tell all processes.
-- KEYS: SETTINGS
-- ARGV: PARAMETER VALUE SIGNAL SCOPE
local SETTINGS = KEYS[1]
local PARAMETER, VALUE, SIGNAL, SCOPE = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if VALUE == '' then
  redis.call('HDEL', SETTINGS, PARAMETER)
else
  redis.call('HSET', SETTINGS, PARAMETER, VALUE)
end
redis.call('PUBLISH', SIGNAL, SCOPE)
