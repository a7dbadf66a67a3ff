-- Return a slice of a dead consumer's messages to the mailbox, as new entries, so that late acknowledgements are void.
--
-- KEYS[1..5]  the mailbox's block (mailbox.lua)
-- ARGV[1]     consumer;  ARGV[2]  1 if its process was seen to die, else 0;  ARGV[3]  the most to return
-- Returns {returned, dropped because the entry had been deleted}; both are 0 once the consumer holds nothing.

local consumer, crashed, left = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local given, dropped = 0, 0

local function give_back(lane, envelope, deaths, lone_deaths)
  local target = (crashed == 1 or lane == QUARANTINE) and QUARANTINE or lane
  if target == QUARANTINE then
    local alone = lane == QUARANTINE and crashed or 0
    redis.call('XADD', KEYS[target], '*', 'e', envelope, 'd', deaths + crashed, 'n', lone_deaths + alone)
  else
    redis.call('XADD', KEYS[target], '*', 'e', envelope)
  end
  if target ~= lane then
    count_bytes(KEYS[target], KEYS[BYTES], target, #envelope)
    count_bytes(KEYS[lane], KEYS[BYTES], lane, -#envelope)
  end
end

for lane = 1, 4 do
  if left > given + dropped then
    for _, entry in ipairs(read(KEYS[lane], consumer, '0', left - given - dropped)) do
      redis.call('XACK', KEYS[lane], 'g', entry[1])
      local fields = entry[2]
      if fields then
        redis.call('XDEL', KEYS[lane], entry[1])
        give_back(lane, fields[2], tonumber(fields[4] or 0), tonumber(fields[6] or 0))
        given = given + 1
      else
        dropped = dropped + 1
      end
    end
  end
end
return {given, dropped}
