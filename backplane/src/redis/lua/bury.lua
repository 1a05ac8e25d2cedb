-- Takes claims out of the queue that the caller cannot read: each goes to the dead letters, and its user is told resync
-- instead, once. Who cannot be a user is forgotten.
--
-- KEYS meta users ready leases ages counts dead
-- FLAGS allow-oom
-- ARGV dead letters kept; for each claim: 'u' (a user) or 'x' (none), name, token
-- REPLY nothing

local now = tick()
for at = 2, #ARGV - 2, 3 do
  local user = ARGV[at + 1]
  local state = call('HGET', users, user)
  if state and place(state) == 67 and sub(state, 17, 32) == ARGV[at + 2] then
    bury(user, state, 'unreadable claim', now, tonumber(ARGV[1]))
    call('ZREM', leases, user)
    local since = sub(state, 3, 16)
    if not is_time(since) then
      since = digits(now)
      waiting(since, 1)
    end
    if ARGV[at] == 'u' then
      call('HSET', users, user, 'Q0' .. since .. '3')
      call('RPUSH', ready, user)
    else
      call('HDEL', users, user)
      waiting(since, -1)
    end
  end
end
