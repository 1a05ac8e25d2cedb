-- Every entry of each user.
--
-- KEYS entries
-- FLAGS allow-oom
-- ARGV users
-- REPLY entries of each, or nothing

return call('HMGET', entries, unpack(ARGV))
