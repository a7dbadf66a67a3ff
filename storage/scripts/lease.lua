-- Take or renew a lease.
--
-- KEYS[1]  lease  string: the holder's random token;  ARGV: token, ttl in ms;  returns 1, or 0 while somebody else holds it

-- One that has far longer to live than any is given was taken before the server's clock was set back: nobody may be there to renew it.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and redis.call('PTTL', KEYS[1]) <= 2 * ARGV[2] then return 0 end
redis.call('DEL', KEYS[1]) -- so that a full server does not refuse the next line (beat.lua)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
