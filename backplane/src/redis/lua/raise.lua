-- Raises channels' versions. Each change moves the counter by one; the longest unchanged topics make room (BP-7), not all
-- at once where fewer are to be kept than before. What is stored is read and written for all topics at once: a command of
-- a script costs more than a topic in it.
--
-- KEYS meta versions changes
-- ARGV topics kept; for each raise: topic, version ('' for the next one, by the time)
-- REPLY the stored version of each

local VERSION_MAX, FORGOTTEN_MAX = 9007199254740991, 1000
local kept, now = tonumber(ARGV[1]), tick()
local counter, forgotten = counted()
local topics, reply = {}, {}
for at = 2, #ARGV - 1, 2 do topics[#topics + 1] = ARGV[at] end
local stored = #topics > 0 and call('HMGET', versions, unpack(topics)) or {}
local raised, written, moved = {}, {}, {}
for i = 1, #topics do
  local topic, wanted = topics[i], tonumber(ARGV[2 * i + 1])
  local before = raised[topic] or tonumber(stored[i] or 0) or 0
  if not wanted then wanted = math.max(before, math.min(math.max(before + 1, now), VERSION_MAX)) end
  local version = math.max(before, wanted)
  local text = format('%.0f', version)
  reply[i] = text
  if version > before then
    counter = counter + 1
    raised[topic] = version
    written[#written + 1], written[#written + 2] = topic, text
    moved[#moved + 1], moved[#moved + 2] = format('%.0f', counter), topic
  end
end
if #written > 0 then
  call('HSET', versions, unpack(written))
  call('ZADD', changes, unpack(moved))
  local over = math.min(call('ZCARD', changes) - kept, FORGOTTEN_MAX)
  if over > 0 then
    local oldest, names = call('ZPOPMIN', changes, over), {}
    for i = 1, #oldest, 2 do names[#names + 1] = oldest[i] end
    call('HDEL', versions, unpack(names))
    -- Never back: what was called a gap may have been more than what is left here shows.
    forgotten = math.max(forgotten, tonumber(oldest[#oldest]))
  end
end
call('HSET', meta, 'counter', format('%.0f', counter), 'forgotten', format('%.0f', forgotten))
return reply
