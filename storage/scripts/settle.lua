-- Acknowledge a batch, forward messages and log events: for each message all of it, or nothing if it is no longer ours.
--
-- KEYS[1..2]  log, meta (log.lua);  KEYS[3..]  blocks of all mailboxes in it (mailbox.lua)
-- ARGV[1..3]  as in log.lua;  then runs of similar messages, each: from, to, count (n), events per message (e),
--             msgpack of their n sizes in bytes, n entries, n envelopes unless `to` is 0, n times e events
--             `from` and `to` are key numbers with KEYS[3] as 1; `to` is 0 if the messages are not forwarded
-- Returns the numbers (1 = the first message of the first run) of messages that were no longer ours. Pass at most 500:
-- their ids go through one unpack().
--
-- One XACK for a run: if it acknowledges all, all were ours. If not, the entry itself is the token: another owner
-- deletes the entry in the step that acknowledges it, so a message whose entry can still be deleted is ours to forward.

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
