-- Entries whose lease has ended. It leaps over the entries of live leases, one step a gateway, and looks at no more than a
-- few thousand others.
--
-- KEYS meta entries gateways index
-- FLAGS allow-oom
-- ARGV entries at most
-- REPLY user, gateway, stamp of each

local live = liveness(now_seen())
local most, reply, from, looked = tonumber(ARGV[1]), {}, '-', 0
while #reply < 3 * most and looked < 5000 do
  local first = call('ZRANGEBYLEX', index, from, '+', 'LIMIT', 0, 1)[1]
  if not first then break end
  local cut = find(first, '\n', 1, true) or 0
  local group, gateway = sub(first, 1, cut + 16), sub(first, 1, cut - 1)
  local past = '(' .. group .. '\n\255'
  looked = looked + 1
  if byte(first, cut + 17) ~= 10 then
    -- No member of ours.
    call('ZREM', index, first)
  elseif live(group) then
    from = past
  else
    local members = call('ZRANGEBYLEX', index, from, past, 'LIMIT', 0, most - #reply / 3)
    if #members == 0 then members = { first } end
    looked = looked + #members
    for _, member in ipairs(members) do
      local user = sub(member, cut + 18)
      local own = call('HGET', entries, user) or ''
      local _, to = find(own, '\t' .. gateway .. '\n', 1, true)
      local stamp = to and sub(own, to + 1, to + 32)
      if stamp and sub(stamp, 1, 16) == sub(group, cut + 1) then
        reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = user, gateway, stamp
      else
        -- Left behind by something unreadable.
        call('ZREM', index, member)
      end
      from = '(' .. member
    end
  end
end
return reply
