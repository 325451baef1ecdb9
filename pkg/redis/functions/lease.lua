--[[
Leases: which node does a job that one node at a time may do. The lease is a string that expires,
`<node> <number>`; numbers only grow, so that what a holder did can be told from what the next one did.

weft1_lease_take   KEYS lease, its counter   ARGV node, life in ms
                   Takes it if it is free. Returns its number, or 0; who holds it; for how many ms more.
weft1_lease_renew  KEYS lease                ARGV holder (`<node> <number>`), life in ms
                   1: it lives on. 0: it is not this holder's any more.
weft1_lease_give   KEYS lease                ARGV holder
                   1: it is free. 0: it was not this holder's.
]]
local function lease_take(KEYS, ARGV)
    local holder = redis.call('GET', KEYS[1])
    if holder then
        return { 0, holder, redis.call('PTTL', KEYS[1]) }
    end
    local number = redis.call('INCR', KEYS[2])
    holder = ARGV[1] .. ' ' .. string.format('%d', number)
    redis.call('SET', KEYS[1], holder, 'PX', ARGV[2])
    return { number, holder, tonumber(ARGV[2]) }
end

local function lease_renew(KEYS, ARGV)
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then
        return 0
    end
    return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end

local function lease_give(KEYS, ARGV)
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then
        return 0
    end
    return redis.call('DEL', KEYS[1])
end

-- Also when Redis is full, so that retention goes on.
redis.register_function({ function_name = 'weft1_lease_take', callback = lease_take, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'weft1_lease_renew', callback = lease_renew, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'weft1_lease_give', callback = lease_give, flags = { 'allow-oom' } })
