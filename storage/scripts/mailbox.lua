-- Prelude of the scripts that work on a mailbox (storage/redis_scripts.py puts it before the script).
--
-- A mailbox is five consecutive keys, its "block": the streams high, normal, low and quarantine, each with one consumer
-- group `g` for all nodes, and `bytes`, a hash: lane → bytes of the messages that wait there or are in hand.
-- Fields of an entry: `e`, the envelope (msgpack); in quarantine also `d`, deaths, and `n`, lone deaths.

local LANES = {'high', 'normal', 'low', 'quarantine'}
local QUARANTINE, BYTES, BLOCK = 4, 5, 5

-- The counter of an empty lane is reset, so that entries deleted by an operator cannot keep a mailbox "full".
local function count_bytes(stream, counter, lane, change)
  if change < 0 and redis.call('XLEN', stream) == 0 then
    redis.call('HSET', counter, LANES[lane], 0)
  elseif change ~= 0 then
    redis.call('HINCRBY', counter, LANES[lane], change)
  end
end

-- XREADGROUP that creates a missing stream and group, starting at 0 so that existing entries are read.
local function read(stream, consumer, from, count)
  local reply = redis.pcall('XREADGROUP', 'GROUP', 'g', consumer, 'COUNT', count, 'STREAMS', stream, from)
  if reply and reply.err then
    if not string.find(reply.err, 'NOGROUP') then error(reply) end -- unchanged: its first word is the error code
    redis.call('XGROUP', 'CREATE', stream, 'g', '0', 'MKSTREAM')
    reply = redis.call('XREADGROUP', 'GROUP', 'g', consumer, 'COUNT', count, 'STREAMS', stream, from)
  end
  return reply and reply[1][2] or {}
end

-- Append envelopes to the mailbox whose block follows KEYS[before]; ARGV[from..to] alternate lane number and envelope.
local function append_envelopes(before, from, to)
  local added = {0, 0, 0}
  for i = from, to, 2 do
    local lane = tonumber(ARGV[i])
    redis.call('XADD', KEYS[before + lane], '*', 'e', ARGV[i + 1])
    added[lane] = added[lane] + #ARGV[i + 1]
  end
  for lane = 1, 3 do count_bytes(KEYS[before + lane], KEYS[before + BYTES], lane, added[lane]) end
end
