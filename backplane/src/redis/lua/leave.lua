-- Removes entries whose stamps are not greater than those given (BP-4).
--
-- KEYS entries index
-- FLAGS allow-oom
-- ARGV for each entry: user, gateway, stamp
-- REPLY nothing

for at = 1, #ARGV - 2, 3 do
  local user, gateway = ARGV[at], ARGV[at + 1]
  local own = call('HGET', entries, user)
  local left, stamp = without(own or '', gateway, ARGV[at + 2])
  if stamp then
    call('ZREM', index, gateway .. '\n' .. sub(stamp, 1, 16) .. '\n' .. user)
    if left == '' then call('HDEL', entries, user) else call('HSET', entries, user, left) end
  end
end
