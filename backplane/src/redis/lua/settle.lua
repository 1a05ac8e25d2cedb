-- Settles claims: entries named absent go by their stamp; then a live gateway out of reach delays the user, else what
-- was set aside is dropped (BP-2, BP-4, BP-6).
--
-- KEYS meta entries users ready leases delays ages counts gateways index
-- FLAGS allow-oom
-- ARGV how to ring, the bell's channel, delay in ms, number of claims, their tokens of 16 bytes in one string, the users;
--      then for each word about a claim: its place from 1, 'a' (absent) or 'u' (unreachable), gateway, stamp
-- REPLY one character a claim: S stale, D delayed, else acked: 0, 1 online, 2 requeued, 3 both

local delay, total = tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tick()
local before = call('HMGET', users, unpack(ARGV, 6, 5 + total))
local entered = call('HMGET', entries, unpack(ARGV, 6, 5 + total))
local live = liveness(now)
local words = {}
for at = 6 + total, #ARGV - 3, 4 do
  local claim = tonumber(ARGV[at])
  words[claim] = words[claim] or {}
  table.insert(words[claim], at)
end
local until_ms = format('%.0f', now + delay)
local done, gone, back, changed, ready_now, delayed, aged, answers = {}, {}, {}, {}, {}, {}, {}, {}
local settled, ended = 0, 0

-- Takes the absent entries out and answers what is left, and whether a gateway out of reach still holds its lease.
local function heed(claim, user, own)
  local wait = false
  for _, at in ipairs(words[claim]) do
    if ARGV[at + 1] == 'a' and own then
      local left, stamp = without(own, ARGV[at + 2], ARGV[at + 3])
      if stamp then
        call('ZREM', index, ARGV[at + 2] .. '\n' .. sub(stamp, 1, 16) .. '\n' .. user)
        own = left ~= '' and left or false
        if own then call('HSET', entries, user, own) else call('HDEL', entries, user) end
      end
    elseif ARGV[at + 1] == 'u' then
      wait = wait or live(ARGV[at + 2] .. '\n' .. sub(ARGV[at + 3], 1, 16))
    end
  end
  return own, wait
end

for i = 1, total do
  local user, state, own, wait = ARGV[5 + i], before[i], entered[i], false
  -- What is half of a claimed state is left to the end of its lease, which buries it.
  if done[user] or not state or place(state) ~= 67
    or sub(state, 17, 32) ~= sub(ARGV[5], 16 * i - 15, 16 * i) then
    answers[i] = 'S'
  else
    done[user] = true
    if words[i] then own, wait = heed(i, user, own) end
    local since = sub(state, 3, 16)
    settled = settled + 1
    gone[settled] = user
    if wait then
      answers[i] = 'D'
      changed[#changed + 1] = user
      changed[#changed + 1] = (delay > 0 and 'D0' or 'Q0') .. whole(parts(state))
      if delay > 0 then
        delayed[#delayed + 1], delayed[#delayed + 2] = until_ms, user
      else
        ready_now[#ready_now + 1] = user
      end
    else
      aged[since] = (aged[since] or 0) - 1
      local answer = online(own, live) and 1 or 0
      if byte(state, -1) == 13 then
        ended = ended + 1
        back[ended] = user
      else
        local _, fresh = parts(state)
        local came = sub(fresh, 1, 14)
        aged[came] = (aged[came] or 0) + 1
        answer = answer + 2
        changed[#changed + 1] = user
        changed[#changed + 1] = 'Q0' .. fresh
        ready_now[#ready_now + 1] = user
      end
      answers[i] = answer
    end
  end
end
if settled > 0 then call('ZREM', leases, unpack(gone)) end
if ended > 0 then call('HDEL', users, unpack(back)) end
if #delayed > 0 then call('ZADD', delays, unpack(delayed)) end
if #changed > 0 then call('HSET', users, unpack(changed)) end
for since, by in pairs(aged) do if by ~= 0 then waiting(since, by) end end
if #ready_now > 0 and call('RPUSH', ready, unpack(ready_now)) == #ready_now then call(ARGV[1], ARGV[2], '') end
return table.concat(answers)
