-- Gives claims back: what was set aside is merged back, and the user is ready again after the delay (BP-2).
--
-- KEYS meta users ready leases delays
-- FLAGS allow-oom
-- ARGV how to ring, the bell's channel, delay in ms, number of claims, their tokens of 16 bytes in one string, the users
-- REPLY nothing

local now = now_seen()
local total, delay = tonumber(ARGV[4]), tonumber(ARGV[3])
local until_ms = format('%.0f', now + delay)
local added, length = 0, 0
for i = 1, total do
  local user = ARGV[5 + i]
  local state = call('HGET', users, user)
  if state and place(state) == 67 and sub(state, 17, 32) == sub(ARGV[5], 16 * i - 15, 16 * i) then
    local untold = sub(state, 2, 2) .. whole(parts(state))
    call('ZREM', leases, user)
    if delay > 0 then
      call('HSET', users, user, 'D' .. untold)
      call('ZADD', delays, until_ms, user)
    else
      call('HSET', users, user, 'Q' .. untold)
      added, length = added + 1, call('RPUSH', ready, user)
    end
  end
end
if added > 0 and added == length then call(ARGV[1], ARGV[2], '') end
