-- Who has an entry under a live lease.
--
-- KEYS meta entries gateways
-- FLAGS allow-oom
-- ARGV number of users, users
-- REPLY one character a user: 1 online, 0 not

local live = liveness(now_seen())
local total = tonumber(ARGV[1])
local entered = call('HMGET', entries, unpack(ARGV, 2, 1 + total))
local answers = {}
for i = 1, total do answers[i] = online(entered[i], live) and '1' or '0' end
return table.concat(answers)
