-- Prelude of every script that works on a mailbox (put before its text by storage/redis_scripts.py).
--
-- A mailbox is five keys in a row, here "its block": the streams high, normal, low and quarantine, each with the consumer
-- group `g` over all nodes, and `bytes`, a hash: lane → bytes of what waits there or is in hand.
-- An entry: `e` the envelope (msgpack); in quarantine also `d` deaths and `n` lone deaths.

local LANES = {'high', 'normal', 'low', 'quarantine'}
local QUARANTINE, BYTES, BLOCK = 4, 5, 5

-- The counter of an empty lane begins anew, so that what an operator deletes cannot keep a mailbox "full".
local function count_bytes(stream, counter, lane, change)
  if change < 0 and redis.call('XLEN', stream) == 0 then
    redis.call('HSET', counter, LANES[lane], 0)
  elseif change ~= 0 then
    redis.call('HINCRBY', counter, LANES[lane], change)
  end
end

-- XREADGROUP that makes stream and group when they are missing: at 0, so that what is there already is read.
local function read(stream, consumer, from, count)
  local reply = redis.pcall('XREADGROUP', 'GROUP', 'g', consumer, 'COUNT', count, 'STREAMS', stream, from)
  if reply and reply.err then
    if not string.find(reply.err, 'NOGROUP') then error(reply) end -- as it is: its first word says what it means
    redis.call('XGROUP', 'CREATE', stream, 'g', '0', 'MKSTREAM')
    reply = redis.call('XREADGROUP', 'GROUP', 'g', consumer, 'COUNT', count, 'STREAMS', stream, from)
  end
  return reply and reply[1][2] or {}
end

-- Append envelopes, given as lane number and envelope in turn in ARGV[from] to ARGV[to], to the mailbox whose block follows KEYS[before].
local function append_envelopes(before, from, to)
  local added = {0, 0, 0}
  for i = from, to, 2 do
    local lane = tonumber(ARGV[i])
    redis.call('XADD', KEYS[before + lane], '*', 'e', ARGV[i + 1])
    added[lane] = added[lane] + #ARGV[i + 1]
  end
  for lane = 1, 3 do count_bytes(KEYS[before + lane], KEYS[before + BYTES], lane, added[lane]) end
end
