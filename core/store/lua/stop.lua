-- stop: end a running turn; its holder hears of it at once, and again when it renews its lease. If nobody can read its
-- question, nobody waits any longer for a process that can.
-- ARGV: TURN
local TURN = ARGV[7]
local found = entry(LINE, TURN)
local turn = found and turn_of(found)
if not turn then return 0 end
even_when_full()
turn.stop, turn.unread = true, 0
store(found, turn)
redis.call('PUBLISH', SPACE .. ':stop', TURN)
if not held(found) then publish_free(lane_of(found)) end
return 1
