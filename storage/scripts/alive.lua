-- The processes heard of within their time; the others are forgotten.
--
-- KEYS[1]  processes (beat.lua);  returns {process, info, process, …}

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all, out = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local lives_until, info = string.match(all[i + 1], '^(%d+) (.*)$')
  if lives_until and tonumber(lives_until) > now then
    out[#out + 1] = all[i]
    out[#out + 1] = info
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return out
