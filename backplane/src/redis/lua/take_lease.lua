-- Takes a gateway's lease, with an epoch greater than every earlier one and not below the time. Leases that have ended
-- are forgotten on the way.
--
-- KEYS meta gateways
-- ARGV gateway, ttl in ms, a marker for a store that has none
-- REPLY epoch, identity

local now = tick()
local last = call('HGET', meta, 'epoch')
local epoch = math.max(last and (tonumber(last) or -1) + 1 or 0, now)
call('HSET', meta, 'epoch', format('%.0f', epoch))
local held = call('HGETALL', gateways)
for at = 1, #held, 2 do
  if (tonumber(sub(held[at + 1], 17)) or 0) <= now then call('HDEL', gateways, held[at]) end
end
call('HSET', gateways, ARGV[1], format('%016x', epoch) .. digits(now + tonumber(ARGV[2])))
return { format('%.0f', epoch), identity(ARGV[3]) }
