--[[
weft1_canary: an entry that goes the way of events, so that a node sees whether they arrive.

KEYS  1  log of the canaries
ARGV  1  channel
      2  node
      3  its number

Returns the entry's id; the message is `<id> <node> <number>`.
]]
local function canary(KEYS, ARGV)
    local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', '100', '*', 'node', ARGV[2], 'number', ARGV[3])
    redis.call('PUBLISH', ARGV[1], id .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
    return id
end

redis.register_function('weft1_canary', canary)
