-- Acknowledge a batch, hand on and tell: for each message all of it or nothing, as its own XACK says.
--
-- KEYS[1..2]  log, meta (log.lua);  KEYS[3..]  blocks of all mailboxes in it (mailbox.lua)
-- ARGV[1..3]  as in log.lua;  then for each message: from, entry, bytes, to, number of events, [envelope], events …
--             `from` and `to` count the keys from KEYS[3] = 1; `to` is 0 when it is not handed on, and then there is no envelope
-- Returns for each message 1, or 0 when it was no longer ours. Bring 500 at most: their ids go through one unpack().

local results, events, change, done = {}, {}, {}, {}

local function moved(code, bytes) change[code] = (change[code] or 0) + bytes end

local at = 4
while at <= #ARGV do
  local from, entry, bytes, to = tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local told = tonumber(ARGV[at + 4])
  local rest = at + 5
  if to > 0 then rest = rest + 1 end
  local ours = redis.call('XACK', KEYS[2 + from], 'g', entry)
  if ours == 1 then
    done[from] = done[from] or {}
    done[from][#done[from] + 1] = entry
    moved(from, -bytes)
    if to > 0 then
      redis.call('XADD', KEYS[2 + to], '*', 'e', ARGV[at + 5])
      moved(to, #ARGV[at + 5])
    end
    for i = rest, rest + told - 1 do events[#events + 1] = ARGV[i] end
  end
  results[#results + 1] = ours
  at = rest + told
end
for from, entries in pairs(done) do redis.call('XDEL', KEYS[2 + from], unpack(entries)) end
for code, bytes in pairs(change) do
  local base, lane = math.floor((code - 1) / BLOCK) * BLOCK, (code - 1) % BLOCK + 1
  count_bytes(KEYS[2 + code], KEYS[2 + base + BYTES], lane, bytes)
end
append(events)
return results
