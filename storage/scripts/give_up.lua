-- Release a lease, if this token still holds it.
--
-- KEYS[1]  lease (lease.lua);  ARGV[1]  token

if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
