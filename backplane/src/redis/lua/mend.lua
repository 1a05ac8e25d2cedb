-- Takes out what makes scripts fail: keys of a wrong type, with all that is kept beside them, and entries that cannot
-- be read. The partition's identity changes with it, so that gateways enter all their sessions again and hint them
-- resync, and what was announced lately is announced again: nothing is lost.
--
-- KEYS meta entries users ready leases delays ages counts gateways index versions changes instances dead
-- FLAGS allow-oom
-- ARGV a new marker, dead letters kept; users whose entries cannot be read
-- REPLY how many keys and entries were taken out

local groups = {
  { { meta, 'hash' } }, { { instances, 'hash' } }, { { dead, 'list' } },
  { { users, 'hash' }, { ready, 'list' }, { leases, 'zset' }, { delays, 'zset' }, { ages, 'zset' }, { counts, 'hash' } },
  { { entries, 'hash' }, { gateways, 'hash' }, { index, 'zset' } },
  { { versions, 'hash' }, { changes, 'zset' } },
}
local wrong = {}
for _, group in ipairs(groups) do
  local before = #wrong
  for _, one in ipairs(group) do
    local found = call('TYPE', one[1]).ok
    if found ~= 'none' and found ~= one[2] then wrong[#wrong + 1] = { one[1], found .. ' in place of ' .. one[2] } end
  end
  if #wrong > before then
    for _, one in ipairs(group) do call('DEL', one[1]) end
  end
end
for at = 3, #ARGV do
  local own = call('HGET', entries, ARGV[at])
  if own and string.gsub(own, '\t[%w_-]+\n' .. string.rep('%x', 32), '') ~= '' then
    call('HDEL', entries, ARGV[at])
    wrong[#wrong + 1] = { ARGV[at], own }
  end
end
if #wrong > 0 then
  local now = clock()
  for _, one in ipairs(wrong) do bury(one[1], one[2], 'unreadable key or entries', now, tonumber(ARGV[2])) end
  call('HSET', meta, 'marker', ARGV[1], 'forgotten', call('HGET', meta, 'counter') or 0)
end
return #wrong
