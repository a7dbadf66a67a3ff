-- Take or renew a lease.
--
-- KEYS[1]  lease  string: the holder's random token;  ARGV: token, ttl in ms
-- Returns 1, or 0 while another token holds it.

-- A lease that lasts far longer than any ttl was taken before the server's clock was set back: its holder may be gone.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and redis.call('PTTL', KEYS[1]) <= 2 * ARGV[2] then return 0 end
redis.call('DEL', KEYS[1]) -- so that a full server does not refuse the next line (beat.lua)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
