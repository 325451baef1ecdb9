--[[
Circuit breakers. One hash says all that a person wants to know:

  state               closed, open, half_open; or forced_open, forced_closed, disabled
  since_ms            since when
  epoch               grows with every change of the state; results of an older epoch do not count
  version             grows with every change of state or configuration
  opened              how many times it has opened
  successes           in half_open: so many permits have come back good
  permits_given       in half_open: so many were given
  mode … without_redis   its configuration (FIELDS below)

Beside it the window of results by second (`<second>` -> `<successes> <failures>`, and sums), the last second at
which each node had a failure, and the permits that are out (a sorted set by the ms at which they lapse).
pkg/guard/breaker.c is the same machine in C, and a test holds them against each other.

KEYS of all of them: the hash, its :window, :nodes, :permits. ARGV 1: channel of changes, 2: the name.
The last argument of each may be the time in ms, for tests; without it, it is that of Redis.

weft1_breaker_configure  ARGV mode, failure_threshold, failure_rate, min_calls, success_threshold, timeout_ms,
                         time_window_ms, half_open_permits, permit_ms, quorum, without_redis
                         Returns 1 if it is new, else 0; its line.
weft1_breaker_acquire    Returns nothing if there is no such breaker; else 1 or 0: the call may be made or not; its
                         permit, or ''; in how many ms to ask again; the line.
weft1_breaker_report     ARGV node, epoch (0: any), successes, failures; permit, its outcome (`success`, `failure`)
                         Results of calls without permit, or of the one with this permit. Returns nothing if there is no
                         such breaker; else 1 or 0: it counted or came too late; the line.
weft1_breaker_give_back  ARGV permit, which nobody will use: another call may have it. Returns nothing if there is no such
                         breaker; else 1 or 0: it was out or not; the line.
weft1_breaker_force      ARGV `open`, `closed`, `disabled`, or `auto`, which ends it
                         Returns nothing if there is no such breaker; else 1 or 0: it is so now, or was; the line.
weft1_breaker_remove     Returns 1 or 0: there was one, or not.
weft1_breaker_read       Returns nothing if there is no such breaker; else the line and, if all four keys were given,
                         successes and failures in the window, nodes with failures, permits out, permits come back good,
                         times opened.

The line: version, epoch, state, since_ms, ms until it may be asked again (open), and the configuration in the order above,
parted by spaces. Messages of the channel are `<name> <line>`, or `<name> <version> gone`.
]]
local BREAKER_CONFIG = { 'mode', 'failure_threshold', 'failure_rate', 'min_calls', 'success_threshold', 'timeout_ms',
    'time_window_ms', 'half_open_permits', 'permit_ms', 'quorum', 'without_redis' }
local BREAKER_FIELDS = { 'state', 'since_ms', 'version', 'epoch', 'mode', 'failure_threshold', 'failure_rate',
    'min_calls', 'success_threshold', 'timeout_ms', 'time_window_ms', 'half_open_permits', 'permit_ms', 'quorum',
    'without_redis' }
local BREAKER_FORCED = { open = 'forced_open', closed = 'forced_closed', disabled = 'disabled', auto = 'closed' }
local BREAKER_RETRY_MS = 1000 -- at most, while other calls hold all permits

local function breaker_now(given)
    if given and given ~= '' then
        return tonumber(given)
    end
    local t = redis.call('TIME')
    return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- The clock of Redis may have gone back, with a failover for one: nothing has begun later than now.
local function breaker_load(key, now)
    local values = redis.call('HMGET', key, unpack(BREAKER_FIELDS))
    if not values[1] then
        return nil
    end
    local b = {}
    for i, field in ipairs(BREAKER_FIELDS) do
        b[field] = tonumber(values[i]) or values[i]
    end
    b.later = b.since_ms > now
    b.since_ms = math.min(b.since_ms, now)
    return b
end

local function breaker_line(b, now)
    local wait = 0
    if b.state == 'open' then
        wait = math.max(0, b.since_ms + b.timeout_ms - now)
    end
    local line = string.format('%d %d %s %d %d', b.version, b.epoch, b.state, b.since_ms, wait)
    for _, field in ipairs(BREAKER_CONFIG) do
        local value = b[field]
        line = line .. ' ' .. (type(value) == 'number' and string.format('%d', value) or value)
    end
    return line
end

-- Of a version or an epoch: never one that was there before, not even of a breaker of this name that was removed, or whose
-- last changes a failover has lost.
local function breaker_next(number, now)
    return math.max(number + 1, now)
end

local function breaker_tell(b, now, KEYS, ARGV)
    b.version = breaker_next(b.version, now)
    redis.call('HSET', KEYS[1], 'version', string.format('%d', b.version))
    redis.call('PUBLISH', ARGV[1], ARGV[2] .. ' ' .. breaker_line(b, now))
end

-- Into another state: what was counted in the one before is over.
local function breaker_turn(b, state, now, KEYS, ARGV)
    b.state, b.since_ms, b.epoch = state, now, breaker_next(b.epoch, now)
    redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
    redis.call('HSET', KEYS[1], 'state', state, 'since_ms', string.format('%d', now), 'epoch',
        string.format('%d', b.epoch), 'successes', '0', 'permits_given', '0')
    if state == 'open' then
        redis.call('HINCRBY', KEYS[1], 'opened', 1)
    end
    breaker_tell(b, now, KEYS, ARGV)
end

local function breaker_configure(KEYS, ARGV)
    local now = breaker_now(ARGV[3 + #BREAKER_CONFIG])
    local b = breaker_load(KEYS[1], now)
    local new = b == nil
    b = b or { state = 'closed', since_ms = now, epoch = breaker_next(0, now), version = 0 }
    local fields = {}
    for i, field in ipairs(BREAKER_CONFIG) do
        b[field] = tonumber(ARGV[2 + i]) or ARGV[2 + i]
        fields[2 * i - 1], fields[2 * i] = field, ARGV[2 + i]
    end
    if new then
        redis.call('HSET', KEYS[1], 'state', b.state, 'since_ms', string.format('%d', now), 'epoch',
            string.format('%d', b.epoch), 'opened', '0', 'successes', '0', 'permits_given', '0')
    end
    redis.call('HSET', KEYS[1], unpack(fields))
    breaker_tell(b, now, KEYS, ARGV)
    return { new and 1 or 0, breaker_line(b, now) }
end

-- A permit for one call of the half-open state, or '' and when to ask again.
local function breaker_permit(b, now, KEYS)
    local last = string.format('%d', now + b.permit_ms)
    redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', string.format('%d', now))
    -- Of a clock that has gone back, or of a longer permit_ms: whoever has it may use it still, but not for longer than others.
    for _, permit in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '(' .. last, '+inf')) do
        redis.call('ZADD', KEYS[4], last, permit)
    end
    if redis.call('ZCARD', KEYS[4]) >= b.half_open_permits then
        local first = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
        return '', math.min(BREAKER_RETRY_MS, tonumber(first[2]) - now)
    end
    local permit = string.format('%d-%d', b.epoch, redis.call('HINCRBY', KEYS[1], 'permits_given', 1))
    redis.call('ZADD', KEYS[4], last, permit)
    return permit, 0
end

local function breaker_acquire(KEYS, ARGV)
    local now = breaker_now(ARGV[3])
    local b = breaker_load(KEYS[1], now)
    if not b then
        return false
    end
    local allowed, permit, wait = 1, '', 0
    if b.later then
        redis.call('HSET', KEYS[1], 'since_ms', string.format('%d', now))
    end
    if b.state == 'open' and now >= b.since_ms + b.timeout_ms then
        breaker_turn(b, 'half_open', now, KEYS, ARGV)
    end
    if b.state == 'half_open' then
        permit, wait = breaker_permit(b, now, KEYS)
        allowed = permit ~= '' and 1 or 0
    elseif b.state == 'open' then
        allowed, wait = 0, b.since_ms + b.timeout_ms - now
    elseif b.state == 'forced_open' then
        allowed, wait = 0, b.timeout_ms
    end
    return { allowed, permit, wait, breaker_line(b, now) }
end

-- The window with what has left it taken out: its newest second, successes, failures.
local function breaker_slide(key, seconds, second)
    local sums = redis.call('HMGET', key, 'oldest', 'newest', 'successes', 'failures')
    local oldest, newest = tonumber(sums[1]), tonumber(sums[2])
    -- Nothing of it is left, or it is of another clock.
    if not newest or newest <= second - seconds or newest >= second + seconds then
        redis.call('DEL', key)
        redis.call('HSET', key, 'oldest', string.format('%d', second))
        return second, 0, 0
    end
    local successes, failures = tonumber(sums[3]), tonumber(sums[4])
    newest = math.max(newest, second)
    for s = oldest, newest - seconds do
        local field = string.format('%d', s)
        local counts = redis.call('HGET', key, field)
        if counts then
            local good, bad = string.match(counts, '(%d+) (%d+)')
            successes, failures = successes - good, failures - bad
            redis.call('HDEL', key, field)
        end
    end
    redis.call('HSET', key, 'oldest', string.format('%d', math.max(oldest, newest - seconds + 1)))
    return newest, successes, failures
end

-- This node has had a failure now; those whose last one has left the window are forgotten.
local function breaker_node_failed(key, node, seconds, newest)
    redis.call('HSET', key, node, string.format('%d', newest))
    local list = redis.call('HGETALL', key)
    for i = 1, #list, 2 do
        if tonumber(list[i + 1]) <= newest - seconds then
            redis.call('HDEL', key, list[i])
        end
    end
    redis.call('EXPIRE', key, seconds + 60)
end

local function breaker_nodes_failing(key, seconds, newest)
    local list = redis.call('HVALS', key)
    local n = 0
    for i = 1, #list do
        n = n + (tonumber(list[i]) > newest - seconds and 1 or 0)
    end
    return n
end

-- Counts results; whether they are enough to open it.
local function breaker_count(b, node, good, bad, now, KEYS)
    local seconds = math.ceil(b.time_window_ms / 1000)
    local newest, successes, failures = breaker_slide(KEYS[2], seconds, math.floor(now / 1000))
    local field = string.format('%d', newest)
    local here = redis.call('HGET', KEYS[2], field) or '0 0'
    local good_here, bad_here = string.match(here, '(%d+) (%d+)')
    successes, failures = successes + good, failures + bad
    redis.call('HSET', KEYS[2], 'newest', field, 'successes', string.format('%d', successes), 'failures',
        string.format('%d', failures), field, string.format('%d %d', good_here + good, bad_here + bad))
    redis.call('EXPIRE', KEYS[2], seconds + 60)
    if bad > 0 then
        breaker_node_failed(KEYS[3], node, seconds, newest)
    end
    if b.mode == 'rate' then
        local calls = successes + failures
        if calls < b.min_calls or failures * 100 < b.failure_rate * calls then
            return false
        end
    elseif failures < b.failure_threshold then
        return false
    end
    return b.quorum <= 1 or breaker_nodes_failing(KEYS[3], seconds, newest) >= b.quorum
end

-- The result of the call that has a permit. A permit that has lapsed is nobody's.
local function breaker_settle(b, permit, outcome, now, KEYS, ARGV)
    local until_ms = redis.call('ZSCORE', KEYS[4], permit)
    if b.state ~= 'half_open' or not until_ms or tonumber(until_ms) <= now then
        return 0
    end
    redis.call('ZREM', KEYS[4], permit)
    if outcome ~= 'success' then
        breaker_turn(b, 'open', now, KEYS, ARGV)
    elseif redis.call('HINCRBY', KEYS[1], 'successes', 1) >= b.success_threshold then
        breaker_turn(b, 'closed', now, KEYS, ARGV)
    end
    return 1
end

local function breaker_report(KEYS, ARGV)
    local now = breaker_now(ARGV[9])
    local b = breaker_load(KEYS[1], now)
    if not b then
        return false
    end
    local epoch, good, bad = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
    local counted = 0
    if ARGV[7] ~= '' then
        counted = breaker_settle(b, ARGV[7], ARGV[8], now, KEYS, ARGV)
    elseif (b.state == 'closed' or b.state == 'forced_closed') and (epoch == 0 or epoch == b.epoch) and good + bad > 0 then
        counted = 1
        if breaker_count(b, ARGV[3], good, bad, now, KEYS) and b.state == 'closed' then
            breaker_turn(b, 'open', now, KEYS, ARGV)
        end
    end
    return { counted, breaker_line(b, now) }
end

local function breaker_give_back(KEYS, ARGV)
    local now = breaker_now(ARGV[4])
    local b = breaker_load(KEYS[1], now)
    if not b then
        return false
    end
    return { redis.call('ZREM', KEYS[4], ARGV[3]), breaker_line(b, now) }
end

local function breaker_force(KEYS, ARGV)
    local now = breaker_now(ARGV[4])
    local b = breaker_load(KEYS[1], now)
    if not b then
        return false
    end
    local state = BREAKER_FORCED[ARGV[3]]
    if not state then
        return redis.error_reply('ERR the state is open, closed, disabled or auto')
    end
    local free = b.state == 'closed' or b.state == 'open' or b.state == 'half_open'
    local changes = state ~= b.state and not (ARGV[3] == 'auto' and free)
    if changes then
        breaker_turn(b, state, now, KEYS, ARGV)
    end
    return { changes and 1 or 0, breaker_line(b, now) }
end

local function breaker_remove(KEYS, ARGV)
    local now = breaker_now(ARGV[3])
    local b = breaker_load(KEYS[1], now)
    if not b then
        return 0
    end
    redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
    redis.call('PUBLISH', ARGV[1], string.format('%s %d gone', ARGV[2], breaker_next(b.version, now)))
    return 1
end

local function breaker_read(KEYS, ARGV)
    local now = breaker_now(ARGV[3])
    local b = breaker_load(KEYS[1], now)
    if not b then
        return false
    end
    local line = breaker_line(b, now)
    if not KEYS[4] then
        return { line }
    end
    local after = math.floor(now / 1000) - math.ceil(b.time_window_ms / 1000)
    local successes, failures = 0, 0
    local window = redis.call('HGETALL', KEYS[2])
    for i = 1, #window, 2 do
        local second = tonumber(window[i])
        if second and second > after then
            local good, bad = string.match(window[i + 1], '(%d+) (%d+)')
            successes, failures = successes + good, failures + bad
        end
    end
    local permits = redis.call('ZCOUNT', KEYS[4], string.format('(%d', now), '+inf')
    local rest = redis.call('HMGET', KEYS[1], 'successes', 'opened')
    return { line, successes, failures, breaker_nodes_failing(KEYS[3], 0, after), permits, tonumber(rest[1]), tonumber(rest[2]) }
end

-- Guards go on when Redis is full.
local breaker_flags = { 'allow-oom' }
redis.register_function('weft1_breaker_configure', breaker_configure)
redis.register_function({ function_name = 'weft1_breaker_acquire', callback = breaker_acquire, flags = breaker_flags })
redis.register_function({ function_name = 'weft1_breaker_report', callback = breaker_report, flags = breaker_flags })
redis.register_function({ function_name = 'weft1_breaker_give_back', callback = breaker_give_back, flags = breaker_flags })
redis.register_function({ function_name = 'weft1_breaker_force', callback = breaker_force, flags = breaker_flags })
redis.register_function({ function_name = 'weft1_breaker_remove', callback = breaker_remove, flags = breaker_flags })
redis.register_function({ function_name = 'weft1_breaker_read', callback = breaker_read, flags = { 'no-writes' } })
