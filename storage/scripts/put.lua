-- Append envelopes to a mailbox; with a sixth key, only once until that expires. If the lane has a limit (`room`), it
-- holds at most one message more: of all that come beyond the limit, only the first with the highest rank is kept.
--
-- KEYS[1..5]  the mailbox's block (mailbox.lua);  KEYS[6]  once: string, while it exists nothing is added (optional)
-- ARGV[1]     ttl of `once`, ms;  ARGV[2]  the lane's limit in messages (0: none);  ARGV[3]  rank, a decimal number
--             then for each envelope (a single one if there is a limit): lane number, envelope
-- Returns 1, or 0 if it is a repetition or another message beyond the limit is kept instead.
-- `over`, beside the lanes' bytes, holds entry and rank of the message beyond the limit. Ranks are compared as text:
-- Lua's numbers are exact only to 2^53.

local room, stream = tonumber(ARGV[2]), KEYS[tonumber(ARGV[4] or 1)]

local function below(rank, other) return #rank < #other or #rank == #other and rank < other end

if KEYS[6] and redis.call('EXISTS', KEYS[6]) == 1 then return 0 end
local beyond = room > 0 and redis.call('XLEN', stream) >= room
if beyond then
  local entry, rank = string.match(redis.call('HGET', KEYS[BYTES], 'over') or '', '^(%S+) (%d+)$')
  local found = entry and redis.call('XRANGE', stream, entry, entry)[1]
  if found then
    if not below(rank, ARGV[3]) then return 0 end
    redis.call('XDEL', stream, entry)
    count_bytes(stream, KEYS[BYTES], tonumber(ARGV[4]), -#found[2][2])
  end
end
if KEYS[6] then redis.call('SET', KEYS[6], 1, 'PX', ARGV[1]) end
append_envelopes(0, 4, #ARGV)
if beyond then
  redis.call('HSET', KEYS[BYTES], 'over', redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1][1] .. ' ' .. ARGV[3])
end
return 1
