-- reset: forget the history; running turns will not be stored either. If nobody can read the question at the head of a
-- lane, nobody waits any longer for a process that can.
local count, gone = redis.call('LLEN', HISTORY), redis.call('LRANGE', HISTORY, -WINDOW, -1)
redis.call('UNLINK', HISTORY, ENDED, SUMMARIES, VERSIONS)
redis.call('HINCRBY', CONV, 'epoch', 1)
if #gone > 0 then not_again(gone) end
for _, found in ipairs(redis.call('LRANGE', LINE, 0, -1)) do
  local turn = turn_of(found)
  if turn then
    turn.unread = 0
    store(found, turn)
    if not held(found) then publish_free(lane_of(found)) end
  end
end
redis.call('PEXPIRE', CONV, TTL_MS)
return count
