--[[
weft1_node_beat: a node is there. KEYS its hash; ARGV life in ms, then pairs of fields.
Writes the fields, with the time as at_ms, and lets the hash expire when there is no beat for its life. Returns the time, ms,
which is the node's score in weft:nodes.
]]
local function node_beat(KEYS, ARGV)
    local time = redis.call('TIME')
    local now = string.format('%d', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
    redis.call('HSET', KEYS[1], 'at_ms', now, unpack(ARGV, 2))
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return tonumber(now)
end

redis.register_function({ function_name = 'weft1_node_beat', callback = node_beat, flags = { 'allow-oom' } })
