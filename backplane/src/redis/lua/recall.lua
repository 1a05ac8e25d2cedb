-- Buckets that are not full, those first that take longest; a time beyond thousands of years was written by somebody else.
--
-- KEYS meta buckets
-- FLAGS allow-oom
-- ARGV how many to pass over, how many at most
-- REPLY bucket, ms until it is full of each

local FAR_MS = 1e14
local now = now_seen()
local from, to = format('%.0f', now + FAR_MS), '(' .. format('%.0f', now)
local reply = call('ZREVRANGEBYSCORE', buckets, from, to, 'WITHSCORES', 'LIMIT', ARGV[1], ARGV[2])
for at = 2, #reply, 2 do reply[at] = format('%.0f', tonumber(reply[at]) - now) end
return reply
