-- Deliver messages to a consumer: a batch by lane weight, or one from quarantine, alone in its whole process.
--
-- KEYS[1..5]  the mailbox's block (mailbox.lua)
-- KEYS[6]     duty  hash of the turn with the quarantine: consumer, until (ms), rest (ms; no new turn before), served
-- KEYS[7..]   blocks of the mailboxes downstream
-- ARGV[1]     consumer;  ARGV[2]  its process, the part before the last slash;  ARGV[3]  byte limit
-- ARGV[4..6]  how many from high, normal, low;  ARGV[7]  how long a turn with the quarantine lasts, ms
-- ARGV[8..]   for each mailbox downstream: its limits in messages and in bytes
-- Returns {state, lane, entry, envelope, lane, entry, …}; for a message from quarantine {'lone', deaths, lone deaths,
-- lane, entry, envelope}. The state of an empty reply gives the reason: 'empty', 'full' (no room downstream), 'turn'
-- (the process first finishes what it holds, for the quarantine), 'alone' (it holds a message from quarantine).
--
-- A pending entry in `quarantine` marks a message that was delivered alone: this step writes the mark, and release.lua
-- reads it. At most one is in hand at a time, over all nodes.

local STEP = 16              -- messages read at once: the byte limit may be exceeded by one less than this
local FORGOTTEN_MS = 120000  -- a lone message held for longer no longer makes its process wait
-- A turn ends ARGV[7] after its first message, or after `emptying` without one; the other lanes then get as much time.
local turn = tonumber(ARGV[7])
local emptying = turn * 2.5
local consumer, process, budget = ARGV[1], ARGV[2], tonumber(ARGV[3])
local out = {'empty'}

local function mine(name) return name == process or string.sub(name, 1, #process + 1) == process .. '/' end

local function full(base, messages, bytes)
  local sums = {0, 0}
  local counters = redis.call('HMGET', KEYS[base + BYTES], unpack(LANES))
  for lane = 1, 4 do
    local length = redis.call('XLEN', KEYS[base + lane])
    sums[1] = sums[1] + length
    if length > 0 then sums[2] = sums[2] + math.max(0, tonumber(counters[lane] or 0)) end
  end
  return sums[1] >= messages or sums[2] >= bytes
end

local function hands_empty()
  for lane = 1, 3 do
    local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[lane], 'g')
    for _, one in ipairs(consumers) do
      if mine(one[2]) and one[4] > 0 then return false end
    end
  end
  return true
end

-- A time further ahead than we ever write was written before the clock was set back.
local function during(now, till) return now < tonumber(till) and tonumber(till) <= now + 4 * emptying end

local function lone(now, resting_too)
  local held = redis.pcall('XPENDING', KEYS[QUARANTINE], 'g', '-', '+', 1)[1]
  if held then
    return mine(held[2]) and held[3] < FORGOTTEN_MS and 'alone' or nil
  end
  local duty = redis.call('HMGET', KEYS[6], 'consumer', 'until', 'rest', 'served')
  local owner = duty[1] and during(now, duty[2]) and duty[1]
  if not owner then
    if duty[3] and during(now, duty[3]) and not resting_too then return nil end
    owner, duty[4] = consumer, '0'
    redis.call('HDEL', KEYS[6], 'consumer') -- so that a full server does not refuse the next line (beat.lua)
    redis.call('HSET', KEYS[6], 'consumer', consumer, 'until', now + emptying, 'rest', now + 2 * emptying, 'served', 0)
  end
  if owner ~= consumer then return mine(owner) and 'turn' or nil end
  if not hands_empty() then return 'turn' end
  local entry = read(KEYS[QUARANTINE], consumer, '>', 1)[1]
  if not entry then return nil end
  if duty[4] == '0' then
    redis.call('HSET', KEYS[6], 'until', now + turn, 'rest', now + 2 * turn, 'served', 1)
  end
  return {'lone', entry[2][4] or '0', entry[2][6] or '0', QUARANTINE, entry[1], entry[2][2]}
end

local function fill(lane, want)
  local got, at = 0, #out
  while got < want and budget > 0 do
    local asked = math.min(want - got, STEP)
    local entries = read(KEYS[lane], consumer, '>', asked)
    for _, entry in ipairs(entries) do
      local envelope = entry[2][2]
      out[at + 1], out[at + 2], out[at + 3] = lane, entry[1], envelope
      at = at + 3
      budget = budget - #envelope
    end
    got = got + #entries
    if #entries < asked then break end
  end
  return got
end

for i = 8, #ARGV, 2 do
  if full(6 + (i - 8) / 2 * BLOCK, tonumber(ARGV[i]), tonumber(ARGV[i + 1])) then return {'full'} end
end

local quarantined = redis.call('XLEN', KEYS[QUARANTINE]) > 0
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if quarantined then
  local found = lone(now, false)
  if type(found) == 'table' then return found end
  if found then return {found} end
end

local left = 0
for lane = 1, 3 do
  local want = tonumber(ARGV[3 + lane])
  left = left + want - fill(lane, want)
end
for lane = 1, 3 do left = left - fill(lane, left) end

if quarantined and #out == 1 then
  local found = lone(now, true)
  if type(found) == 'table' then return found end
  if found then return {found} end
end
return out
