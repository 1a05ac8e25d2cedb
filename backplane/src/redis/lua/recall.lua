-- Buckets that are not full, those first that take longest.
--
-- KEYS meta buckets
-- FLAGS allow-oom
-- ARGV how many to pass over, how many at most
-- REPLY bucket, ms until it is full of each

local now, first = now_seen(), tonumber(ARGV[1])
local found = call('ZREVRANGE', buckets, first, first + tonumber(ARGV[2]) - 1, 'WITHSCORES')
local reply = {}
for at = 1, #found, 2 do
  local left = tonumber(found[at + 1]) - now
  if left <= 0 then break end
  reply[#reply + 1] = found[at]
  reply[#reply + 1] = format('%.0f', left)
end
return reply
