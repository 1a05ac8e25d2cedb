-- Stored versions.
--
-- KEYS versions
-- FLAGS allow-oom
-- ARGV topics
-- REPLY the version of each, or nothing

return call('HMGET', versions, unpack(ARGV))
