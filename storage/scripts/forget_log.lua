-- Delete log entries from before a time; the newest entry stays, so that any reader's place can be told from a gap.
--
-- KEYS[1..2], ARGV[1..3]  as in log.lua;  ARGV[4]  milliseconds since the epoch;  ARGV[5]  the most entries to delete
-- Returns the number of deleted entries.

open_log()
local gone = 0
for _, entry in ipairs(redis.call('XRANGE', LOG, '-', '(' .. ARGV[4] .. '-0', 'COUNT', ARGV[5])) do
  if redis.call('XLEN', LOG) < 2 then break end
  local bytes, events = 0, 0
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'e' then
      bytes, events = bytes + #entry[2][i + 1], events + 1
    end
  end
  redis.call('XDEL', LOG, entry[1])
  redis.call('HINCRBY', META, 'bytes', -bytes)
  redis.call('HSET', META, 'trimmed', entry[1], 'trimmed_events', events)
  gone = gone + 1
end
return gone
