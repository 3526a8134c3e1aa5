-- claim: take over a conversation whose lease ran out or was handed back.
if held() then return {'HELD'} end
if redis.call('LLEN', INBOX) == 0 then
  redis.call('ZREM', LEASES, NAME)
  return {'EMPTY'}
end
even_when_full()
redis.call('HDEL', CONV, 'request') -- a retry of the claim that we take over from gets no turn any more
return {'CLAIMED', claim()}
