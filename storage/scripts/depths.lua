-- Return what waits in a mailbox, by lane.
--
-- KEYS[1..5]  the mailbox's block (mailbox.lua)
-- Returns {seconds, microseconds, then for each lane: messages, bytes, in hand, oldest entry or ''}.

local out = redis.call('TIME')
local counters = redis.call('HMGET', KEYS[BYTES], unpack(LANES))
for lane = 1, 4 do
  local length = redis.call('XLEN', KEYS[lane])
  local held = redis.pcall('XPENDING', KEYS[lane], 'g')
  local oldest = length > 0 and redis.call('XRANGE', KEYS[lane], '-', '+', 'COUNT', 1)[1]
  out[#out + 1] = length
  out[#out + 1] = length > 0 and counters[lane] or 0
  out[#out + 1] = held.err and 0 or held[1]
  out[#out + 1] = oldest and oldest[1] or ''
end
return out
