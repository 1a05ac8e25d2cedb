-- Makes a message store that of the installation, if it has none.
--
-- KEYS meta
-- ARGV store
-- REPLY the installation's store

call('HSETNX', meta, 'store', ARGV[1])
return call('HGET', meta, 'store')
