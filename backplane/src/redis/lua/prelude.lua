-- What all scripts share; it stands in front of each. The line "-- KEYS" of a script names its keys, in their order,
-- and they are locals of those names here.
--
-- A user's state is one string. Its first byte says where the user stands, then come the ends of claims so far (one
-- digit) and since when the oldest news wait (14 digits of ms):
--   Q e since map                          queued: in the ready list
--   D e since map                          delayed: among the delays
--   C e since token map \r [since map]     claimed, among the leases: what was set aside; what came since
-- A map is a digit for its marks (1 refollow, 2 resync, 3 both) and "\n" topic "\t" version for each topic. Topics,
-- users and gateways hold no control characters, so that separators are never part of them.
-- A user's entries are one string: "\t" gateway "\n" epoch generation for each, both of 16 hex digits: stamps compare
-- as text. A lease is: epoch (16 hex digits) and its end (14 digits of ms).

local call, byte, sub, find, format = redis.call, string.byte, string.sub, string.find, string.format
local TOPICS_MAX = 64

-- The time of this operation, for those that only read. Time that went back would revive leases, so it stands still.
local function now_seen()
  return math.max(clock(), tonumber(call('HGET', meta, 'now') or 0) or 0)
end

-- As `now_seen`, and remembered.
local function tick()
  local now, seen = clock(), tonumber(call('HGET', meta, 'now') or 0) or 0
  if now <= seen then return seen end
  call('HSET', meta, 'now', format('%.0f', now))
  return now
end

local function digits(ms) return format('%014.0f', ms) end

-- Keeps what cannot be read, or was given up, for an operator to look at: the last `kept` of them, cut to 1 KiB.
local function bury(user, what, why, now, kept)
  call('HINCRBY', meta, 'dead', 1)
  if kept > 0 then
    call('RPUSH', dead, cjson.encode({ at = now, why = why, user = sub(user, 1, 256), what = sub(what, 1, 1024) }))
    call('LTRIM', dead, -kept, -1)
  end
end

local function collapse(map)
  local mark = byte(map)
  return (mark == 49 or mark == 51) and '3' or '2'
end

-- Merges one piece of news: no topic means a mark, 1 refollow or 2 resync. A map whose version is no number collapses.
local function add(map, topic, version)
  local mark = byte(map)
  if topic == '' then
    if version == '2' then return collapse(map) end
    if mark == 48 then return '1' .. sub(map, 2) end
    return mark == 50 and '3' or map
  end
  if mark >= 50 then return map end
  local key = '\n' .. topic .. '\t'
  local from, to = find(map, key, 1, true)
  if from then
    local _, last, old = find(map, '^(%d+)', to + 1)
    if not old then return collapse(map) end
    if tonumber(version) <= tonumber(old) then return map end
    return sub(map, 1, to) .. version .. sub(map, last + 1)
  end
  -- A topic takes 5 bytes at least: only a long map may be full.
  if #map >= TOPICS_MAX * 5 then
    local _, topics = string.gsub(map, '\n', '\n')
    if topics >= TOPICS_MAX then return collapse(map) end
  end
  return map .. key .. version
end

local function merge(map, newer)
  local mark = byte(newer)
  if mark == 49 or mark == 51 then map = add(map, '', '1') end
  if mark >= 50 then return collapse(map) end
  for topic, version in string.gmatch(newer, '\n([^\n\t]*)\t(%d+)') do map = add(map, topic, version) end
  return map
end

-- Where a state says that the user stands: the byte of Q, C or D; nothing where it is none. That is all that scripts need to
-- go on; whether a map can be read is found out by the caller who claims it.
local function place(state)
  local at = byte(state)
  if at == 81 or at == 68 then return #state >= 17 and at end
  local cut = at == 67 and #state >= 34 and find(state, '\r', 34, true)
  return cut and (#state == cut or #state >= cut + 15) and at
end

-- A claimed state's parts: what was set aside with its "since", and what came meanwhile with its own, '' where nothing.
local function parts(state)
  local cut = find(state, '\r', 33, true) or #state + 1
  local fresh = sub(state, cut + 1)
  return sub(state, 3, 16) .. sub(state, 33, cut - 1), #fresh > 14 and fresh or ''
end

-- Both merged: the older "since" is that of what was set aside.
local function whole(aside, fresh)
  if fresh == '' then return aside end
  return sub(aside, 1, 14) .. merge(sub(aside, 15), sub(fresh, 15))
end

-- Whether it is a time as `digits` writes it. What something else wrote in its place would be the oldest of all, for ever.
local function is_time(since) return #since == 14 and not find(since, '%D') end

-- How many users wait since when, for the age of the oldest news.
local function waiting(since, by)
  if not is_time(since) then return end
  local left = call('HINCRBY', counts, since, by)
  if left <= 0 then
    call('HDEL', counts, since)
    call('ZREM', ages, since)
  elseif left == by then
    call('ZADD', ages, tonumber(since), since)
  end
end

-- The counter of changes, and that of the last one forgotten. Where the counter is lost, it goes on after the changes that
-- are left, and what was shown before is a gap.
local function counted()
  local stored = call('HMGET', meta, 'counter', 'forgotten')
  local counter = tonumber(stored[1] or '')
  if counter then return counter, tonumber(stored[2] or 0) or 0 end
  local last = tonumber(call('ZREVRANGE', changes, 0, 0, 'WITHSCORES')[2] or 0)
  return last, last
end

-- Whether leases are live, asked once a gateway and epoch: `live(gateway "\n" epoch)`.
local function liveness(now)
  local known = {}
  return function(made_under)
    local answer = known[made_under]
    if answer == nil then
      local lease = call('HGET', gateways, sub(made_under, 1, -18))
      answer = lease and sub(lease, 1, 16) == sub(made_under, -16) and now < (tonumber(sub(lease, 17)) or 0) or false
      known[made_under] = answer
    end
    return answer
  end
end

-- Whether one of a user's entries was made under a live lease.
local function online(own, live)
  if not own then return false end
  if not find(own, '\t', 2, true) then return live(sub(own, 2, -17)) end
  for made_under in string.gmatch(own, '\t([^\n\t]*\n................)') do
    if live(made_under) then return true end
  end
  return false
end

-- A user's entries without the gateway's, if its stamp is not greater; and the stamp that went.
local function without(own, gateway, up_to)
  local from, to = find(own, '\t' .. gateway .. '\n', 1, true)
  if not from then return own end
  local stamp = sub(own, to + 1, to + 32)
  if stamp > up_to then return own end
  return sub(own, 1, from - 1) .. sub(own, to + 33), stamp
end

-- What the partition's store is: its marker, made where there is none, and the run and the data of its primary.
local function identity(marker)
  call('HSETNX', meta, 'marker', marker)
  local run = string.match(call('INFO', 'server'), 'run_id:(%w+)')
  local data = string.match(call('INFO', 'replication'), 'master_replid:(%w+)')
  return call('HGET', meta, 'marker') .. '-' .. run .. '-' .. data
end

