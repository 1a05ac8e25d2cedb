-- Merges news into users' maps and queues whoever is idle (BP-1). Nothing is stored for users without an entry.
--
-- KEYS meta entries users ready ages counts dead
-- ARGV how to ring, the bell's channel, dead letters kept, number of runs; for each run: topic ('' for a mark),
--      version (1 refollow, 2 resync for a mark), number of users; then the users of all runs
-- REPLY queued, merged, the place of each user who is offline, from 0

local runs = tonumber(ARGV[4])
local first = 5 + 3 * runs
local total = 0
for run = 1, runs do total = total + tonumber(ARGV[4 + 3 * run]) end
local entered = call('HMGET', entries, unpack(ARGV, first, first + total - 1))
local before = call('HMGET', users, unpack(ARGV, first, first + total - 1))
local now = clock()
local since = digits(now)
local states, changed, ready_now, reply = {}, {}, {}, { 0, 0 }
local i, queued_count, changes, offline = 0, 0, 0, 2
for run = 1, runs do
  local topic, version = ARGV[2 + 3 * run], ARGV[3 + 3 * run]
  local map = add('0', topic, version)
  local queued = 'Q0' .. since .. map
  for _ = 1, tonumber(ARGV[4 + 3 * run]) do
    i = i + 1
    local user = ARGV[first + i - 1]
    if not entered[i] then
      offline = offline + 1
      reply[offline] = i - 1
    else
      local state = states[user] or before[i]
      local at = state and place(state)
      if not at then
        if state then
          bury(user, state, 'unreadable state', now, tonumber(ARGV[3]))
          state = 'Q0' .. since .. add(map, '', '2')
        else
          state = queued
        end
        queued_count = queued_count + 1
        ready_now[queued_count] = user
      else
        if at ~= 67 then
          state = sub(state, 1, 16) .. add(sub(state, 17), topic, version)
        elseif byte(state, -1) == 13 then
          state = state .. since .. map
        else
          local cut = find(state, '\r', 34, true)
          state = sub(state, 1, cut + 14) .. add(sub(state, cut + 15), topic, version)
        end
      end
      states[user] = state
      changed[changes + 1], changed[changes + 2] = user, state
      changes = changes + 2
    end
  end
end
reply[1], reply[2] = queued_count, changes / 2 - queued_count
if changes > 0 then call('HSET', users, unpack(changed)) end
if queued_count > 0 then
  waiting(since, queued_count)
  if call('RPUSH', ready, unpack(ready_now)) == queued_count then call(ARGV[1], ARGV[2], '') end
end
return reply
