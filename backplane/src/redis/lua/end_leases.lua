-- Ends a gateway's lease if it is of one of these epochs.
--
-- KEYS gateways
-- FLAGS allow-oom
-- ARGV gateway, epochs as 16 hex digits
-- REPLY nothing

for at = 2, #ARGV do
  local lease = call('HGET', gateways, ARGV[1])
  if lease and sub(lease, 1, 16) == ARGV[at] then call('HDEL', gateways, ARGV[1]) end
end
