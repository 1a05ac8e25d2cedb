-- Keeps when buckets of throttles are full. Those that are full, and, beyond the most, those that are full soonest are forgotten,
-- not all at once; everything is, when the last one is full and nobody has written since.
--
-- KEYS meta buckets
-- ARGV buckets kept at most; for each: bucket, ms until it is full
-- REPLY how many are kept

local FORGOTTEN_MAX, FAR_MS = 1000, 1e14
local now, most = tick(), tonumber(ARGV[1])
local words = {}
for at = 2, #ARGV - 1, 2 do
  words[#words + 1] = format('%.0f', now + tonumber(ARGV[at + 1]))
  words[#words + 1] = ARGV[at]
end
if #words > 0 then call('ZADD', buckets, unpack(words)) end
-- Somebody else's: no bucket takes thousands of years, and no key may last as long.
call('ZREMRANGEBYSCORE', buckets, format('%.0f', now + FAR_MS), '+inf')
local size, full = call('ZCARD', buckets), call('ZCOUNT', buckets, '-inf', format('%.0f', now))
local forgotten = math.min(math.max(full, size - most), FORGOTTEN_MAX)
if forgotten > 0 then call('ZREMRANGEBYRANK', buckets, 0, forgotten - 1) end
local last = call('ZREVRANGE', buckets, 0, 0, 'WITHSCORES')[2]
if last then call('PEXPIRE', buckets, format('%.0f', math.max(tonumber(last) - now, 1))) end
return size - forgotten
