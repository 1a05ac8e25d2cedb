-- Ends leases and delays that are over, then claims those who are ready: what they are to be told is set aside under a
-- token (BP-1, BP-3). Nobody is claimed whose state says otherwise, whatever the ready list holds.
--
-- KEYS meta entries users ready leases delays ages counts dead
-- FLAGS allow-oom
-- ARGV users at most, lease in ms, dead letters kept, ends of claims before a map is given up, a token of 16 bytes for
--      each user, in one string
-- REPLY ready users left, whose map was given up; then user, since and map, entries, of each claim, in the order of
--      the tokens

local most, kept, ends_max = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tick()
local since = digits(now)
local given_up = {}

-- Puts users whose time among `ends` is over into the ready list.
local function end_those(ends, again)
  if most == 0 then return end
  local over = call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, most)
  if #over == 0 then return end
  call('ZREM', ends, unpack(over))
  local before, changed, back = call('HMGET', users, unpack(over)), {}, {}
  for i, user in ipairs(over) do
    local state = before[i] and again(user, before[i])
    if state then
      back[#back + 1] = user
      changed[#changed + 1] = user
      changed[#changed + 1] = state
    end
  end
  if #back > 0 then
    call('HSET', users, unpack(changed))
    call('RPUSH', ready, unpack(back))
  end
end

local function unreadable(user, state)
  bury(user, state, 'unreadable state', now, kept)
  waiting(since, 1)
  return 'Q0' .. since .. '2'
end

end_those(leases, function(user, state)
  local at = place(state)
  if not at then return unreadable(user, state) end
  if at ~= 67 then return end
  call('HINCRBY', meta, 'expiries', 1)
  local aside, fresh = parts(state)
  local ends = (tonumber(sub(state, 2, 2)) or 0) + 1
  if ends < ends_max then return 'Q' .. ends .. whole(aside, fresh) end
  bury(user, sub(aside, 15), 'its claims ended with their worker', now, kept)
  given_up[#given_up + 1] = user
  local untold = whole(aside, fresh)
  return 'Q0' .. sub(untold, 1, 14) .. add(sub(untold, 15), '', '2')
end)

end_those(delays, function(user, state)
  local at = place(state)
  if not at then return unreadable(user, state) end
  if at == 68 then return 'Q' .. sub(state, 2) end
end)

local offered = most > 0 and call('LPOP', ready, most) or {}
local reply = { 0, given_up }
if #offered > 0 then
  local before = call('HMGET', users, unpack(offered))
  local own = call('HMGET', entries, unpack(offered))
  local until_ms = format('%.0f', now + tonumber(ARGV[2]))
  local changed, held, seen = {}, {}, {}
  local count, answer = 0, 2
  for i = 1, #offered do
    local user = offered[i]
    local state = not seen[user] and before[i]
    local at = state and place(state)
    if state and not at then state, at = unreadable(user, state), 81 end
    if at == 81 then
      local token = 8 * count
      changed[count + 1] = user
      changed[count + 2] = 'C' .. sub(state, 2, 16) .. sub(ARGV[5], token + 1, token + 16) .. sub(state, 17) .. '\r'
      held[count + 1] = until_ms
      held[count + 2] = user
      count = count + 2
      seen[user] = true
      reply[answer + 1] = user
      reply[answer + 2] = sub(state, 3)
      reply[answer + 3] = own[i] or ''
      answer = answer + 3
    end
  end
  if count > 0 then
    call('HSET', users, unpack(changed))
    call('ZADD', leases, unpack(held))
  end
end
reply[1] = call('LLEN', ready)
return reply
