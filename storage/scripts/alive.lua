-- Return the processes whose sign of life is still valid, and delete the others.
--
-- KEYS[1]  processes (beat.lua);  ARGV[1]  'names' (optional)
-- Returns {process, info, process, …}, or {process, process, …} with 'names'.

local LONGEST = 60000 -- ms; a sign of life that is valid for longer was given before the server's clock was set back

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all, out = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local lives_until, info = string.match(all[i + 1], '^(%d+) (.*)$')
  if lives_until and tonumber(lives_until) > now and tonumber(lives_until) <= now + LONGEST then
    out[#out + 1] = all[i]
    if ARGV[1] ~= 'names' then out[#out + 1] = info end
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return out
