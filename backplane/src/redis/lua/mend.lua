-- Takes out what makes scripts fail: keys of a wrong type, counts that are none, with all that is kept beside them, and entries that cannot
-- be read. The partition's identity changes with it, so that gateways enter all their sessions again and hint them
-- resync, and what was announced lately is announced again: nothing is lost.
--
-- KEYS meta entries users ready leases delays ages counts gateways index versions changes instances buckets dead
-- FLAGS allow-oom
-- ARGV a new marker, dead letters kept; users whose entries cannot be read
-- REPLY how many keys and entries were taken out

local queue = { [users] = 'hash', [ready] = 'list', [leases] = 'zset', [delays] = 'zset', [ages] = 'zset', [counts] = 'hash' }
local registry = { [entries] = 'hash', [gateways] = 'hash', [index] = 'zset' }
local groups = { queue, registry, { [versions] = 'hash', [changes] = 'zset' },
  { [meta] = 'hash' }, { [instances] = 'hash' }, { [buckets] = 'zset' }, { [dead] = 'list' } }
local wrong = {}

local function drop(group)
  for key in pairs(group) do call('DEL', key) end
end

for _, group in ipairs(groups) do
  local before = #wrong
  for key, wanted in pairs(group) do
    local found = call('TYPE', key).ok
    if found ~= 'none' and found ~= wanted then wrong[#wrong + 1] = { key, found .. ' in place of ' .. wanted } end
  end
  if #wrong > before then drop(group) end
end
for _, field in ipairs({ 'now', 'epoch', 'expiries', 'dead', 'counter', 'forgotten' }) do
  local count = call('HGET', meta, field)
  if count and not find(count, '^%d+$') then
    call('HDEL', meta, field)
    wrong[#wrong + 1] = { field, count }
  end
end
for _, count in ipairs(call('HVALS', counts)) do
  if not find(count, '^%-?%d+$') then
    wrong[#wrong + 1] = { counts, count }
    break
  end
end
-- A script that failed may have done half of its work. Whoever is in the queue will be told resync.
if #wrong > 0 then
  drop(queue)
  drop(registry)
end
for at = 3, #ARGV do
  local own = call('HGET', entries, ARGV[at])
  if own and (own == '' or string.gsub(own, '\t[%w_-]+\n' .. string.rep('%x', 32), '') ~= '') then
    call('HDEL', entries, ARGV[at])
    wrong[#wrong + 1] = { ARGV[at], own }
  end
end
if #wrong > 0 then
  local now = clock()
  for _, one in ipairs(wrong) do bury(one[1], one[2], 'unreadable key or entries', now, tonumber(ARGV[2])) end
  local counter = call('HGET', meta, 'counter')
  call('HSET', meta, 'marker', ARGV[1])
  if counter then call('HSET', meta, 'forgotten', counter) end
end
return #wrong
