-- Says that a process is there, and answers who is. Whose word has ended is forgotten.
--
-- KEYS meta instances
-- FLAGS allow-oom
-- ARGV name, ttl in ms, a marker for a store that has none, what it says of itself
-- REPLY identity, what each says

local now = tick()
call('HSET', instances, ARGV[1], digits(now + tonumber(ARGV[2])) .. ARGV[4])
local reply = { identity(ARGV[3]) }
local said = call('HGETALL', instances)
for at = 1, #said, 2 do
  if now < (tonumber(sub(said[at + 1], 1, 14)) or 0) then
    reply[#reply + 1] = sub(said[at + 1], 15)
  else
    call('HDEL', instances, said[at])
  end
end
return reply
