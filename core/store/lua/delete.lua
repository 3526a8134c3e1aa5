-- delete: handle a deleted message. A question leaves the inbox and the history, and its turn, if it runs, ends without
-- an answer; the exchange of an answer is forgotten. Returns what was stored of both.
-- ARGV: WORD
local WORD = ARGV[6]
local running, waiting = '', 0
for place, found in ipairs(redis.call('LRANGE', INBOX, 0, -1)) do
  if has(found, WORD) then
    if place == 1 then
      running = string.match(found, '^([^,|]*)')
    else
      redis.call('LREM', INBOX, 1, found)
      waiting = waiting + 1
    end
  end
end
-- Leave a message alone that the running reply itself removes or rewrites.
local progress, head = redis.call('HGET', CONV, 'progress') or '', redis.call('LINDEX', INBOX, 0) or ''
local own = string.find(progress, '"' .. WORD .. '"', 1, true) or has(head, '~' .. WORD)
if running == '' and held() and own then
  return {'', waiting, '', ''}
end
if running ~= '' then
  even_when_full()
  redis.call('HSET', CONV, 'retract', running)
  redis.call('PUBLISH', SPACE .. ':stop', running)
end
local exchange, shown = entry(HISTORY, WORD), entry(ENDED, WORD)
if exchange then redis.call('LREM', HISTORY, 1, exchange) end
if shown then redis.call('LREM', ENDED, 1, shown) end
return {running, waiting, exchange or '', shown or ''}
