-- Raises channels' versions. Each change moves the counter by one; the longest unchanged topics make room (BP-7), not all
-- at once where fewer are to be kept than before.
--
-- KEYS meta versions changes
-- ARGV topics kept; for each raise: topic, version ('' for the next one, by the time)
-- REPLY the stored version of each

local VERSION_MAX, FORGOTTEN_MAX = 9007199254740991, 1000
local kept, now = tonumber(ARGV[1]), tick()
local counter, forgotten = counted()
local left = FORGOTTEN_MAX
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
    while size > kept and left > 0 do
      local oldest = call('ZPOPMIN', changes)
      call('HDEL', versions, oldest[1])
      -- Never back: what was called a gap may have been more than what is left here shows.
      forgotten, size, left = math.max(forgotten, tonumber(oldest[2])), size - 1, left - 1
    end
  end
end
call('HSET', meta, 'counter', format('%.0f', counter), 'forgotten', format('%.0f', forgotten))
return reply
