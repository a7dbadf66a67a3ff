-- Prelude of the scripts that work on the event log (storage/redis_scripts.py puts it before the script).
--
-- KEYS[1]  log   stream: one entry per batch, with up to 100 fields `e`, one per event; the first entry is a marker `m`
-- KEYS[2]  meta  hash: id (random, names this log), bytes (of all events), newest, newest_events (last entry and its
--                number of events), trimmed, trimmed_events (the same for the last entry that was trimmed)
-- ARGV[1]  the id for a log that begins now; ARGV[2], ARGV[3]  its limits in entries and in bytes

local LOG, META = KEYS[1], KEYS[2]
local EVENTS_AN_ENTRY = 100
local CUTS_A_CALL = 100

-- If only one of the two keys exists, the log is damaged and no reader's place can be trusted: start a new one.
local function open_log()
  if redis.call('EXISTS', LOG, META) == 2 then return end
  redis.call('DEL', LOG, META)
  local marker = redis.call('XADD', LOG, '*', 'm', ARGV[1])
  redis.call('HSET', META, 'id', ARGV[1], 'bytes', 0, 'newest', marker, 'newest_events', 0,
    'trimmed', '0-0', 'trimmed_events', 0)
end

local function cut(bytes)
  local cuts = 0
  while cuts < CUTS_A_CALL and (bytes > tonumber(ARGV[3]) or redis.call('XLEN', LOG) > tonumber(ARGV[2])) do
    if redis.call('XLEN', LOG) < 2 then break end
    local oldest = redis.call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
    local events = 0
    for i = 1, #oldest[2], 2 do
      if oldest[2][i] == 'e' then
        events = events + 1
        bytes = bytes - #oldest[2][i + 1]
      end
    end
    redis.call('XDEL', LOG, oldest[1])
    redis.call('HSET', META, 'bytes', bytes, 'trimmed', oldest[1], 'trimmed_events', events)
    cuts = cuts + 1
  end
end

local function append(events)
  if #events == 0 then return end
  open_log()
  local bytes, newest, size = 0, nil, 0
  for first = 1, #events, EVENTS_AN_ENTRY do
    local fields, last = {}, 0
    for i = first, math.min(first + EVENTS_AN_ENTRY - 1, #events) do
      fields[last + 1], fields[last + 2] = 'e', events[i]
      last = last + 2
      bytes = bytes + #events[i]
    end
    newest, size = redis.call('XADD', LOG, '*', unpack(fields)), last / 2
  end
  redis.call('HSET', META, 'newest', newest, 'newest_events', size)
  cut(redis.call('HINCRBY', META, 'bytes', bytes))
end
