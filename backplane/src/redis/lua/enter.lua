-- Enters users under live leases; only a greater stamp replaces an entry (BP-4, BP-5).
--
-- KEYS meta entries gateways index
-- ARGV number of runs; for each run: gateway, epoch as 16 hex digits, number of users; the generations of all, of 16 hex
--      digits each, in one string; the users of all runs
-- REPLY one character a user: 1 registered, 0 the epoch's lease is not live

local runs = tonumber(ARGV[1])
local generations, first = ARGV[2 + 3 * runs], 3 + 3 * runs
local live = liveness(now_seen())
local before = call('HMGET', entries, unpack(ARGV, first))
local placed, changed, added, gone, answers = {}, {}, {}, {}, {}
local i = 0
for run = 1, runs do
  local gateway, epoch = ARGV[3 * run - 1], ARGV[3 * run]
  local covered = live(gateway .. '\n' .. epoch)
  local key = '\t' .. gateway .. '\n'
  for _ = 1, tonumber(ARGV[3 * run + 1]) do
    i = i + 1
    answers[i] = covered and '1' or '0'
    if covered and i <= #ARGV - first + 1 then
      local user, stamp = ARGV[first + i - 1], epoch .. sub(generations, 16 * i - 15, 16 * i)
      local own = placed[user] or before[i] or ''
      local from, to = find(own, key, 1, true)
      local old = from and sub(own, to + 1, to + 32)
      if not old or old < stamp then
        local member = gateway .. '\n' .. epoch .. '\n' .. user
        if not old then
          own = own .. key .. stamp
          added[#added + 1], added[#added + 2] = '0', member
        else
          own = sub(own, 1, to) .. stamp .. sub(own, to + 33)
          if sub(old, 1, 16) ~= epoch then
            call('ZREM', index, gateway .. '\n' .. sub(old, 1, 16) .. '\n' .. user)
            call('ZADD', index, '0', member)
          end
        end
        placed[user] = own
        changed[#changed + 1] = user
        changed[#changed + 1] = own
      end
    end
  end
end
if #changed > 0 then call('HSET', entries, unpack(changed)) end
if #added > 0 then call('ZADD', index, unpack(added)) end
return table.concat(answers)
