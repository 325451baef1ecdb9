--[[
Services: what is registered, who has it, and how it is. One hash for each, weft:service:{<id>}; weft:services names
them. What somebody registers and what he wants is written by whichever node he asks; how it is, only by the node that has
claimed it, with the fence of its claim: one who was replaced cannot write any more.

weft1_service_put     KEYS service  ARGV channel, id, then pairs: fields of the definition
                      Registers it, or changes what is registered. Returns 1 if it is new, and its revision; or why not.
weft1_service_delete  KEYS service, its errors  ARGV channel, id
                      1: it was there.
weft1_service_order   KEYS service  ARGV channel, id, `start`, `stop` or `restart`, the node that is asked
                      What is wanted of a command. Returns the node that has to do it; or why not.
weft1_service_claim   KEYS service  ARGV node, number of the lease (0: by order, for a command)
                      The fence for its writes, and its state; 0: it is not this node's.
weft1_service_report  KEYS service, its errors  ARGV channel, id, node, fence, error (empty: none), how many fields are set,
                      pairs: fields that are set, then pairs: fields that are counted up
                      Returns 1, the state before, the time; 0: fenced.
weft1_service_lost    KEYS service  ARGV channel, id, node, fence
                      Its node is gone, and has not claimed it anew: a command is stopped then. Returns the state before; empty:
                      it was not so.
weft1_service_metrics KEYS service, its errors  (reads only)
                      Both, as they are at one moment.
]]
local SERVICE_ERRORS = 20 -- recent ones that are kept

local function service_now()
    local time = redis.call('TIME')
    return string.format('%d', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
end

-- A command that has a process, or will have one without being asked.
local function service_is_active(state)
    return state == 'starting' or state == 'running' or state == 'stopping' or state == 'backoff'
end

local function service_put(KEYS, ARGV)
    local old = redis.call('HMGET', KEYS[1], 'kind', 'state', 'revision', 'fence')
    local kind = nil
    for i = 3, #ARGV, 2 do
        if ARGV[i] == 'kind' then
            kind = ARGV[i + 1]
        end
    end
    if old[1] and old[1] ~= kind then
        if service_is_active(old[2]) then
            return '!running'
        end
        redis.call('DEL', KEYS[1]) -- one of another kind is another service; only its numbers go on
    end
    if not old[1] or old[1] ~= kind then
        local now = service_now()
        redis.call('HSET', KEYS[1], 'id', ARGV[2], 'state', kind == 'url' and 'unknown' or 'stopped', 'reason', 'registered',
            'since_ms', now, 'created_ms', now, 'revision', old[3] or '0', 'fence', old[4] or '0',
            'want', 'stopped', 'order', '0', 'restart_order', '0', 'node', '')
    end
    local revision = redis.call('HINCRBY', KEYS[1], 'revision', 1)
    redis.call('HSET', KEYS[1], unpack(ARGV, 3))
    redis.call('PUBLISH', ARGV[1], ARGV[2])
    return { old[1] and 0 or 1, revision }
end

local function service_delete(KEYS, ARGV)
    local there = redis.call('DEL', KEYS[1])
    redis.call('DEL', KEYS[2])
    if there == 1 then
        redis.call('PUBLISH', ARGV[1], ARGV[2])
    end
    return there
end

local function service_order(KEYS, ARGV)
    local old = redis.call('HMGET', KEYS[1], 'kind', 'state', 'node', 'run_on')
    if not old[1] then
        return '!missing'
    end
    if old[1] ~= 'command' then
        return '!kind'
    end
    local node = old[3]
    if ARGV[3] ~= 'stop' and not service_is_active(old[2]) then
        node = (old[4] and old[4] ~= '') and old[4] or ARGV[4]
    end
    redis.call('HSET', KEYS[1], 'want', ARGV[3] == 'stop' and 'stopped' or 'running', 'node', node, 'ordered', ARGV[3])
    redis.call('HINCRBY', KEYS[1], 'order', 1) -- counted, so that none is overlooked
    if ARGV[3] == 'restart' then
        redis.call('HINCRBY', KEYS[1], 'restart_order', 1)
    end
    redis.call('PUBLISH', ARGV[1], ARGV[2])
    return node
end

local function service_claim(KEYS, ARGV)
    local old = redis.call('HMGET', KEYS[1], 'kind', 'node', 'lease', 'state')
    local lease = tonumber(ARGV[2])
    if not old[1] then
        return { 0 }
    end
    if lease == 0 then
        if old[1] ~= 'command' or old[2] ~= ARGV[1] then
            return { 0 }
        end
    else
        if old[1] ~= 'url' or tonumber(old[3] or '0') > lease then
            return { 0 }
        end
        redis.call('HSET', KEYS[1], 'node', ARGV[1], 'lease', ARGV[2])
    end
    return { redis.call('HINCRBY', KEYS[1], 'fence', 1), old[4] }
end

local function service_report(KEYS, ARGV)
    local old = redis.call('HMGET', KEYS[1], 'node', 'fence', 'state')
    if old[1] ~= ARGV[3] or old[2] ~= ARGV[4] then
        return { 0 }
    end
    local now = service_now()
    local last = 6 + tonumber(ARGV[6]) * 2
    for i = 7, last, 2 do
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
        if ARGV[i] == 'state' and ARGV[i + 1] ~= old[3] then
            redis.call('HSET', KEYS[1], 'since_ms', now)
            redis.call('HINCRBY', KEYS[1], 'state_changes', 1)
            redis.call('PUBLISH', ARGV[1], ARGV[2])
        end
    end
    for i = last + 1, #ARGV, 2 do
        redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
    end
    if ARGV[5] ~= '' then
        redis.call('LPUSH', KEYS[2], now .. ' ' .. ARGV[5])
        redis.call('LTRIM', KEYS[2], 0, SERVICE_ERRORS - 1)
        redis.call('HINCRBY', KEYS[1], 'errors', 1)
    end
    return { 1, old[3], tonumber(now) }
end

local function service_lost(KEYS, ARGV)
    local old = redis.call('HMGET', KEYS[1], 'kind', 'node', 'state', 'fence')
    if old[1] ~= 'command' or old[2] ~= ARGV[3] or old[4] ~= ARGV[4] or not service_is_active(old[3]) then
        return ''
    end
    redis.call('HSET', KEYS[1], 'state', 'stopped', 'reason', 'node_lost', 'since_ms', service_now(), 'pid', '0')
    redis.call('HINCRBY', KEYS[1], 'fence', 1)
    redis.call('HINCRBY', KEYS[1], 'state_changes', 1)
    redis.call('PUBLISH', ARGV[1], ARGV[2])
    return old[3]
end

local function service_metrics(KEYS)
    return { redis.call('HGETALL', KEYS[1]), redis.call('LRANGE', KEYS[2], 0, -1) }
end

redis.register_function('weft1_service_put', service_put)
redis.register_function({ function_name = 'weft1_service_delete', callback = service_delete, flags = { 'allow-oom' } })
redis.register_function('weft1_service_order', service_order)
redis.register_function({ function_name = 'weft1_service_claim', callback = service_claim, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'weft1_service_report', callback = service_report, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'weft1_service_lost', callback = service_lost, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'weft1_service_metrics', callback = service_metrics, flags = { 'no-writes', 'allow-oom' } })
