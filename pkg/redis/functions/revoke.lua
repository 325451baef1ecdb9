--[[
weft1_revoke: a token is no longer good, or good again.

KEYS  1  the revoked ones: jti -> until when it is remembered, ms
      2  how often the list has changed
ARGV  1  channel
      2  jti
      3  until_ms; 0: it is good again
      4  how many may be remembered
      5  the time in ms, for tests; without it, it is that of Redis

Forgets those whose time is over. One that is there already keeps the later end. Returns how often the list has changed, and then
the message is `<that> <until_ms> <jti>`; 0 if there was nothing to do, -1 if the list is full.
]]
local function revoke(KEYS, ARGV)
    local now = tonumber(ARGV[5])
    if not now then
        local time = redis.call('TIME')
        now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    end
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%d', now))
    if tonumber(ARGV[3]) == 0 then
        if redis.call('ZREM', KEYS[1], ARGV[2]) == 0 then
            return 0
        end
    else
        if not redis.call('ZSCORE', KEYS[1], ARGV[2]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then
            return -1
        end
        redis.call('ZADD', KEYS[1], 'GT', ARGV[3], ARGV[2])
    end
    local version = redis.call('INCR', KEYS[2])
    redis.call('PUBLISH', ARGV[1], string.format('%d', version) .. ' ' .. ARGV[3] .. ' ' .. ARGV[2])
    return version
end

redis.register_function({ function_name = 'weft1_revoke', callback = revoke, flags = { 'allow-oom' } })
