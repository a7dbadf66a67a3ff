-- Acknowledge a batch, hand on and tell: for each message all of it or nothing, as its own acknowledgement says.
--
-- KEYS[1..2]  log, meta (log.lua);  KEYS[3..]  blocks of all mailboxes in it (mailbox.lua)
-- ARGV[1..3]  as in log.lua;  then for each message: from, entry, bytes, to, number of events, [envelope], events …
--             `from` and `to` count the keys from KEYS[3] = 1; `to` is 0 when it is not handed on, and then there is no envelope
-- Returns for each message 1, or 0 when it was no longer ours. Bring 500 at most: their ids go through one unpack().
--
-- One XACK for all of a stream: when it takes them all, all were ours. When not, the entry itself is the token: whoever took
-- a message from us deleted its entry in the step that acknowledged it, so what can still be deleted is ours to hand over.

local from_of, place_of, entries = {}, {}, {}
local at, count = 4, 0
while at <= #ARGV do
  local from = tonumber(ARGV[at])
  count = count + 1
  from_of[count], place_of[count] = from, at
  entries[from] = entries[from] or {}
  entries[from][#entries[from] + 1] = ARGV[at + 1]
  at = at + 5 + tonumber(ARGV[at + 4])
  if ARGV[place_of[count] + 3] ~= '0' then at = at + 1 end
end

local all_ours = {}
for from, ids in pairs(entries) do
  all_ours[from] = redis.call('XACK', KEYS[2 + from], 'g', unpack(ids)) == #ids
  if all_ours[from] then redis.call('XDEL', KEYS[2 + from], unpack(ids)) end
end

local results, events, change = {}, {}, {}
for i = 1, count do
  local from, place = from_of[i], place_of[i]
  local ours = 1
  if not all_ours[from] then ours = redis.call('XDEL', KEYS[2 + from], ARGV[place + 1]) end
  if ours == 1 then
    local to, rest = tonumber(ARGV[place + 3]), place + 5
    change[from] = (change[from] or 0) - tonumber(ARGV[place + 2])
    if to > 0 then
      redis.call('XADD', KEYS[2 + to], '*', 'e', ARGV[rest])
      change[to] = (change[to] or 0) + #ARGV[rest]
      rest = rest + 1
    end
    for event = rest, rest + tonumber(ARGV[place + 4]) - 1 do events[#events + 1] = ARGV[event] end
  end
  results[i] = ours
end
for code, bytes in pairs(change) do
  local base, lane = math.floor((code - 1) / BLOCK) * BLOCK, (code - 1) % BLOCK + 1
  count_bytes(KEYS[2 + code], KEYS[2 + base + BYTES], lane, bytes)
end
append(events)
return results
