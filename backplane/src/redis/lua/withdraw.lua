-- Takes back what a process said.
--
-- KEYS instances
-- FLAGS allow-oom
-- ARGV name
-- REPLY nothing

call('HDEL', instances, ARGV[1])
