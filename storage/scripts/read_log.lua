-- Return a page of the event log after a place. A place is (log id, entry, number of events of that entry before it).
--
-- KEYS[1..2], ARGV[1..3]  as in log.lua;  ARGV[4]  maximum of events;  ARGV[5..7]  the place (default: the newest)
-- Returns {log id, entry, events (the place if the page is empty), reason of a gap or '', then for each entry
-- {entry, number of its events before the page, event, …}}.

open_log()
local meta = redis.call('HMGET', META, 'id', 'newest', 'newest_events', 'trimmed', 'trimmed_events')
local id, newest, trimmed = meta[1], meta[2], meta[4]
local newest_events, trimmed_events = tonumber(meta[3]), tonumber(meta[5])
if not ARGV[5] then return {id, newest, newest_events, ''} end

local function before(entry, events, other, other_events)
  local ms, n = string.match(entry, '(%d+)-(%d+)')
  local other_ms, other_n = string.match(other, '(%d+)-(%d+)')
  ms, n, other_ms, other_n = tonumber(ms), tonumber(n), tonumber(other_ms), tonumber(other_n)
  if ms ~= other_ms then return ms < other_ms end
  if n ~= other_n then return n < other_n end
  return events < other_events
end

local entry, passed, gap = ARGV[6], tonumber(ARGV[7]), ''
if ARGV[5] ~= id then
  gap = 'another log'
elseif before(newest, newest_events, entry, passed) then
  -- Beyond the end: the server lost the last events of this very log, and may reuse their ids.
  return {id, newest, newest_events, 'another log'}
elseif before(entry, passed, trimmed, trimmed_events) then
  gap = 'trimmed'
end
if gap ~= '' then entry, passed = trimmed, trimmed_events end

local out, left, from = {id, entry, passed, gap}, tonumber(ARGV[4]), entry
while left > 0 and before(entry, passed, newest, newest_events) do
  local page = redis.call('XRANGE', LOG, from, '+', 'COUNT', 4)
  if #page == 0 then break end
  for _, one in ipairs(page) do
    local skip = one[1] == entry and passed or 0
    local events = {one[1], skip}
    for i = 2 * skip + 1, #one[2], 2 do
      if left > 0 and one[2][i] == 'e' then
        events[#events + 1] = one[2][i + 1]
        left = left - 1
      end
    end
    if #events > 2 then out[#out + 1] = events end
  end
  from = '(' .. page[#page][1]
end
return out
