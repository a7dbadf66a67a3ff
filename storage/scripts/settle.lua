-- Acknowledge a batch, hand on and tell: for each message all of it or nothing, as its own acknowledgement says.
--
-- KEYS[1..2]  log, meta (log.lua);  KEYS[3..]  blocks of all mailboxes in it (mailbox.lua)
-- ARGV[1..3]  as in log.lua;  then runs of messages that are alike, each: from, to, how many (n), events of each (e),
--             msgpack of their n sizes in bytes, n entries, n envelopes unless `to` is 0, n times e events
--             `from` and `to` count the keys from KEYS[3] = 1; `to` is 0 when they are not handed on
-- Returns the numbers (1 = the first message of the first run) of those that were no longer ours. Bring 500 at most: their
-- ids go through one unpack().
--
-- One XACK for a run: when it takes them all, all were ours. When not, the entry itself is the token: whoever took a message
-- from us deleted its entry in the step that acknowledged it, so what can still be deleted is ours to hand over.

local lost, seen, events, told, change = {}, 0, {}, 0, {}

local at = 4
while at <= #ARGV do
  local from, to, n, each = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local sizes, entries = cmsgpack.unpack(ARGV[at + 4]), at + 5
  local envelopes, stream = entries + n, KEYS[2 + from]
  local event = to > 0 and envelopes + n or envelopes
  local all_ours = redis.call('XACK', stream, 'g', unpack(ARGV, entries, entries + n - 1)) == n
  if all_ours then redis.call('XDEL', stream, unpack(ARGV, entries, entries + n - 1)) end
  local freed, handed = 0, 0
  for i = 0, n - 1 do
    if all_ours or redis.call('XDEL', stream, ARGV[entries + i]) == 1 then
      freed = freed + sizes[i + 1]
      if to > 0 then
        redis.call('XADD', KEYS[2 + to], '*', 'e', ARGV[envelopes + i])
        handed = handed + #ARGV[envelopes + i]
      end
      for e = event + i * each, event + (i + 1) * each - 1 do
        told = told + 1
        events[told] = ARGV[e]
      end
    else
      lost[#lost + 1] = seen + i + 1
    end
  end
  change[from] = (change[from] or 0) - freed
  if to > 0 then change[to] = (change[to] or 0) + handed end
  seen, at = seen + n, event + n * each
end

for code, bytes in pairs(change) do
  local base, lane = math.floor((code - 1) / BLOCK) * BLOCK, (code - 1) % BLOCK + 1
  count_bytes(KEYS[2 + code], KEYS[2 + base + BYTES], lane, bytes)
end
append(events)
return lost
