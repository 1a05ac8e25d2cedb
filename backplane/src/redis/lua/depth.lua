-- How a partition's queue stands. Where nobody waits, ages that an unreadable state left behind are dropped.
--
-- KEYS meta ready leases delays ages counts
-- FLAGS allow-oom
-- ARGV nothing
-- REPLY ready, claimed, delayed, ends of claims, maps given up, ms that the oldest news wait

local now = now_seen()
local standing = { call('LLEN', ready), call('ZCARD', leases), call('ZCARD', delays) }
local oldest = 0
if standing[1] + standing[2] + standing[3] == 0 then
  call('DEL', ages, counts)
else
  local since = call('ZRANGE', ages, 0, 0)[1]
  while since and not is_time(since) do
    call('ZREM', ages, since)
    call('HDEL', counts, since)
    since = call('ZRANGE', ages, 0, 0)[1]
  end
  oldest = since and math.max(0, now - tonumber(since)) or 0
end
local counted = call('HMGET', meta, 'expiries', 'dead')
return { standing[1], standing[2], standing[3], tonumber(counted[1] or 0) or 0, tonumber(counted[2] or 0) or 0, oldest }
