-- Return the messages that a consumer already holds; acknowledge entries that were deleted meanwhile.
--
-- KEYS[1..5]  the mailbox's block (mailbox.lua)
-- ARGV[1]     consumer;  ARGV[2]  the most from each lane;  ARGV[3..6]  for each lane: the last entry seen
-- Returns {deaths, lone deaths, lane, entry, envelope, lane, entry, …}; the deaths are those of a message from
-- quarantine, which comes alone, when no other is left.

local consumer, out = ARGV[1], {'0', '0'}

local function again(lane, count)
  local from, got = ARGV[2 + lane], 0
  while got < count do
    local entries = read(KEYS[lane], consumer, from, count - got)
    if #entries == 0 then break end
    for _, entry in ipairs(entries) do
      local fields = entry[2]
      if fields then
        local at = #out
        out[at + 1], out[at + 2], out[at + 3] = lane, entry[1], fields[2]
        if lane == QUARANTINE then out[1], out[2] = fields[4] or '0', fields[6] or '0' end
        got = got + 1
      else
        redis.call('XACK', KEYS[lane], 'g', entry[1])
      end
    end
    from = entries[#entries][1]
  end
end

for lane = 1, 3 do again(lane, tonumber(ARGV[2])) end
if #out == 2 then again(QUARANTINE, 1) end
return out
