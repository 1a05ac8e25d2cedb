-- Raises channels' versions. Each change moves the counter by one; the longest unchanged topic makes room (BP-7).
--
-- KEYS meta versions changes
-- ARGV topics kept; for each raise: topic, version ('' for the next one, by the time)
-- REPLY the stored version of each

local VERSION_MAX = 9007199254740991
local kept, now = tonumber(ARGV[1]), tick()
local stored = call('HMGET', meta, 'counter', 'forgotten')
local counter, forgotten = tonumber(stored[1] or 0) or 0, stored[2]
local size, reply = call('ZCARD', changes), {}
for at = 2, #ARGV - 1, 2 do
  local topic, wanted = ARGV[at], tonumber(ARGV[at + 1])
  local before = tonumber(call('HGET', versions, topic) or 0) or 0
  if not wanted then wanted = math.max(before, math.min(math.max(before + 1, now), VERSION_MAX)) end
  local version = math.max(before, wanted)
  local text = format('%.0f', version)
  reply[#reply + 1] = text
  if version > before then
    counter = counter + 1
    call('HSET', versions, topic, text)
    size = size + call('ZADD', changes, format('%.0f', counter), topic)
    while size > kept do
      local oldest = call('ZPOPMIN', changes)
      call('HDEL', versions, oldest[1])
      forgotten, size = oldest[2], size - 1
    end
  end
end
call('HSET', meta, 'counter', format('%.0f', counter), 'forgotten', forgotten or 0)
return reply
