-- Extends a gateway's lease to its ttl from now where it is live and of the epoch asked for. Nothing revives one that
-- has ended.
--
-- KEYS meta gateways
-- FLAGS allow-oom
-- ARGV gateway, ttl in ms, a marker for a store that has none, epochs as 16 hex digits
-- REPLY identity, one character an epoch: 1 renewed, 0 lapsed

local now = tick()
local live = liveness(now)
local answers = {}
for at = 4, #ARGV do
  if live(ARGV[1] .. '\n' .. ARGV[at]) then
    call('HSET', gateways, ARGV[1], ARGV[at] .. digits(now + tonumber(ARGV[2])))
    -- A ttl of nothing ends it at once.
    live = liveness(now)
    answers[#answers + 1] = '1'
  else
    answers[#answers + 1] = '0'
  end
end
return { identity(ARGV[3]), table.concat(answers) }
