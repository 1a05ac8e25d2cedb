-- What changed after a counter (BP-7).
--
-- KEYS meta versions changes
-- FLAGS allow-oom
-- ARGV a marker for a store that has none, changes at most, the counter, '' where to begin is asked
-- REPLY identity, counter, 0 gap or 1 shown or 2 shown and more; topic, version of each change

local newest, forgotten = counted()
local since = tonumber(ARGV[3]) or newest
local name = identity(ARGV[1])
if since < forgotten or since > newest then return { name, format('%.0f', newest), 0 } end
local most = tonumber(ARGV[2])
local later = call('ZRANGEBYSCORE', changes, '(' .. format('%.0f', since), '+inf', 'WITHSCORES', 'LIMIT', 0, most + 1)
local shown = math.min(most, #later / 2)
local reply = { name, format('%.0f', since), #later / 2 > most and 2 or 1 }
if shown > 0 then
  local topics = {}
  for i = 1, shown do topics[i] = later[2 * i - 1] end
  local found = call('HMGET', versions, unpack(topics))
  for i = 1, shown do
    reply[#reply + 1] = topics[i]
    reply[#reply + 1] = found[i] or '0'
  end
  reply[2] = later[2 * shown]
end
return reply
