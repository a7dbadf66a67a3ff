-- Append envelopes to a mailbox; with a sixth key only once within its time. With a room no more than it holds and one: of all that come
-- beyond it the one of the highest rank stands for the others.
--
-- KEYS[1..5]  the mailbox's block (mailbox.lua);  KEYS[6]  once: string, there while a repetition adds nothing (optional)
-- ARGV[1]     how long `once` stands, ms;  ARGV[2]  its lane's room, in messages (0: any number);  ARGV[3]  rank, a decimal number
--             then for each envelope, with a room the only one: lane number, envelope
-- Returns 1, or 0 when it was a repetition or another stands for it.
-- `over`, beside the lanes' bytes: entry and rank of the one beyond the room. Ranks are compared as text: Lua's numbers end at 2^53.

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
