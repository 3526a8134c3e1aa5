-- delete: handle a deleted message. A question leaves the line and the history, and its turn, if it runs, ends without
-- an answer; the exchange of an answer is forgotten with its versions, and what summaries tell of it. Returns what was
-- stored of both, and how many summaries there were.
-- ARGV: WORD
local WORD = ARGV[7]
local running, waiting, own = '', 0, false
for _, found in ipairs(redis.call('LRANGE', LINE, 0, -1)) do
  local turn = turn_of(found)
  if has(found, WORD) then
    if turn then
      even_when_full()
      running = string.match(found, '^([^,|]*)')
      turn.retract = true
      store(found, turn)
      redis.call('PUBLISH', SPACE .. ':stop', running)
    else
      redis.call('LREM', LINE, 1, found)
      waiting = waiting + 1
    end
  -- Leave a message alone that a running reply itself removes or rewrites.
  elseif turn and held(found) then
    own = own or string.find(turn.progress or '', '"' .. WORD .. '"', 1, true) or has(found, '~' .. WORD)
  end
end
if waiting > 0 then offer() end
if running == '' and own then return {'', waiting, '', '', 0} end
local exchange, shown = entry(HISTORY, WORD), entry(ENDED, WORD)
if exchange then
  redis.call('LREM', HISTORY, 1, exchange)
  not_again({exchange})
end
if shown then redis.call('LREM', ENDED, 1, shown) end
if exchange or shown then forget_versions(turn_id(exchange or shown)) end
return {running, waiting, exchange or '', shown or '', forget_summaries(WORD)}
