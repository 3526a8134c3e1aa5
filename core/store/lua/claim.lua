-- claim: take over a conversation whose lease expired or was handed back.
if held() then return {'HELD'} end
if redis.call('LLEN', INBOX) == 0 then
  redis.call('ZREM', LEASES, NAME)
  return {'EMPTY'}
end
even_when_full()
redis.call('HDEL', CONV, 'request') -- a retry of the claim that we take over from no longer gets a turn
return {'CLAIMED', claim()}
