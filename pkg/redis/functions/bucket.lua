--[[
Token buckets: a bucket holds at most `capacity` tokens, `refill_per_s` come in each second, and whoever
takes some gets them at once or not at all.

A bucket is a hash. Its numbers are kept in millionths of a token and whole milliseconds, by the clock of
Redis; refill_per_s has three decimals at most. So every sum here is one of whole numbers below 2^53, exact, and
pkg/guard/bucket.c, which does the same without Redis, never differs from it.

  capacity, refill_per_s             as set
  tokens, at_ms                      so many there were at that time
  mode, dry_run, without_redis       what nodes do with it (docs/guards.md)
  would_refuse                       takes that dry_run let pass

`buckets` is a sorted set of the names of those that were set.

If the clock goes back, what came in until then stays, and filling goes on from the new time.

weft1_bucket_take    KEYS buckets
                     ARGV for each bucket: capacity, refill_per_s (0 0: as its hash says; else it is made
                     with them when it is not there, and expires when it would be full)
                     then for each request: number of buckets, and for each of them index of its key, tokens
    A request is taken from all of its buckets or from none, one request after the other, as one step. What is
    refused writes nothing (but after the clock went back).
    Returns the time in ms, and for each request an array: 1 taken, 0 refused; and for each of its buckets
    what bucket_tell says.

weft1_bucket_lease   KEYS bucket
                     ARGV capacity, refill_per_s (as above); tokens that come back; tokens wanted; takes that
                     dry_run let pass
    As many of those wanted as there are.
    Returns the time in ms, tokens got, and an array of what bucket_tell says for one more token.

weft1_bucket_look    KEYS buckets
    Returns the time in ms, and for each bucket an array of what bucket_tell says for one token, and would_refuse.

weft1_bucket_set     KEYS bucket, buckets
                     ARGV name, buckets allowed, channel, capacity, refill_per_s, mode, dry_run, without_redis
    1: it is new, and full. 0: it was changed; it keeps its tokens, as many as it may hold. -1: too many buckets.

weft1_bucket_delete  KEYS bucket, buckets   ARGV name, channel
    1, or 0 when there was none.
]]
local TOKEN = 1000000 -- a token in the unit of all sums

local MISSING, ENOUGH, SHORT, DRY, NEVER, BROKEN = 0, 1, 2, 3, 4, 5 -- how a request stands to a bucket

local function bucket_clock()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Tokens as text: 97, 97.25, 0.000001; '%.15g' would be exact too, but write small ones with an exponent.
local function bucket_text(tokens)
    if tokens % TOKEN == 0 then
        return string.format('%d', tokens / TOKEN)
    end
    return (string.gsub(string.format('%.6f', tokens / TOKEN), '0+$', ''))
end

local function bucket_number(text, unit)
    local n = tonumber(text)
    return n and math.floor(n * unit + 0.5)
end

-- What has come in until now. rate is in thousandths of a token per second, which are millionths per ms.
local function bucket_fill(b, now_ms)
    if now_ms > b.at_ms then
        b.tokens = math.min(b.capacity, b.tokens + (now_ms - b.at_ms) * b.rate)
    elseif now_ms < b.at_ms then
        b.changed = true -- else it would not fill before at_ms has come again
    end
    b.at_ms = now_ms
end

-- The bucket of a key, filled up to now; nil and why not.
local function bucket_open(key, capacity, refill, now_ms)
    local h = redis.pcall('HMGET', key, 'capacity', 'refill_per_s', 'tokens', 'at_ms', 'mode', 'dry_run', 'without_redis')
    local given = tonumber(capacity) > 0
    local b

    if h.err then
        return nil, BROKEN
    end
    if not (given or h[1]) then
        return nil, MISSING
    end
    b = {
        key = key,
        given = given,
        capacity = bucket_number(given and capacity or h[1], TOKEN),
        rate = bucket_number(given and refill or h[2], 1000),
        at_ms = tonumber(h[4]) or now_ms,
        dry = h[6] == 'yes',
        flags = (h[5] == 'leased' and 1 or 0) + (h[6] == 'yes' and 2 or 0) +
            (h[7] == 'closed' and 4 or h[7] == 'local' and 8 or 0),
        would_refuse = 0,
        changed = false,
    }
    if not (b.capacity and b.rate and b.capacity >= TOKEN and b.rate >= 1) then
        return nil, BROKEN
    end
    b.tokens = math.min(b.capacity, bucket_number(h[3], TOKEN) or b.capacity)
    bucket_fill(b, now_ms)
    return b
end

local function bucket_write(b)
    if b.changed then
        redis.call('HSET', b.key, 'tokens', bucket_text(b.tokens), 'at_ms', string.format('%d', b.at_ms))
        if b.given then
            redis.call('HSET', b.key, 'capacity', bucket_text(b.capacity), 'refill_per_s',
                string.format('%.15g', b.rate / 1000))
            redis.call('PEXPIRE', b.key, string.format('%d', math.ceil((b.capacity - b.tokens) / b.rate) + 1000))
        end
    end
    if b.would_refuse > 0 and not b.given then
        redis.call('HINCRBY', b.key, 'would_refuse', b.would_refuse)
    end
end

local function bucket_stands(b, tokens)
    if tokens <= b.tokens then
        return ENOUGH
    elseif b.dry then
        return DRY
    elseif tokens > b.capacity then
        return NEVER
    end
    return SHORT
end

-- How it stands; tokens left; ms until there are as many as were asked for (0: they are there, or never will
-- be), and until it is full; capacity; refill in thousandths per second; flags: 1 leased, 2 dry_run, 4 closed
-- without Redis, 8 local.
local function bucket_tell(answer, b, stands, tokens)
    local n = #answer
    local wait = (stands == SHORT or stands == DRY) and tokens <= b.capacity
    answer[n + 1] = stands
    answer[n + 2] = math.floor(b.tokens / TOKEN)
    answer[n + 3] = wait and math.ceil((tokens - b.tokens) / b.rate) or 0
    answer[n + 4] = math.ceil((b.capacity - b.tokens) / b.rate)
    answer[n + 5] = b.capacity / TOKEN
    answer[n + 6] = b.rate
    answer[n + 7] = b.flags
end

local function bucket_request(buckets, why, items)
    local answer, stands, all = { 1 }, {}, true

    for i = 1, #items do
        local b = buckets[items[i].index]
        stands[i] = b and bucket_stands(b, items[i].tokens) or why[items[i].index]
        all = all and (stands[i] == ENOUGH or stands[i] == DRY)
    end
    answer[1] = all and 1 or 0
    for i = 1, #items do
        local b = buckets[items[i].index]
        if not b then
            for _, v in ipairs({ stands[i], 0, 0, 0, 0, 0, 0 }) do
                answer[#answer + 1] = v
            end
        else
            if all and stands[i] == ENOUGH then
                b.tokens = b.tokens - items[i].tokens
                b.changed = true
            elseif all then
                b.would_refuse = b.would_refuse + 1
            end
            bucket_tell(answer, b, stands[i], items[i].tokens)
        end
    end
    return answer
end

-- The requests, read whole before anything is done; nil if they are not as they must be.
local function bucket_requests(ARGV, a, n_keys)
    local requests = {}

    while ARGV[a] do
        local items, seen = {}, {}
        for _ = 1, tonumber(ARGV[a]) or 0 do
            local index, tokens = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
            if not (index and tokens and index >= 1 and index <= n_keys and not seen[index] and tokens >= 1 and
                tokens % 1 == 0) then
                return nil
            end
            seen[index] = true
            items[#items + 1] = { index = index, tokens = tokens * TOKEN }
            a = a + 2
        end
        if #items == 0 then
            return nil
        end
        requests[#requests + 1] = items
        a = a + 1
    end
    return requests
end

local function bucket_take(KEYS, ARGV)
    local now_ms = bucket_clock()
    local requests = bucket_requests(ARGV, 2 * #KEYS + 1, #KEYS)
    local buckets, why, answers = {}, {}, { now_ms }

    if not requests then
        return redis.error_reply('ERR weft1_bucket_take: number of buckets, then index and tokens of each, is expected')
    end
    for i = 1, #KEYS do
        buckets[i], why[i] = bucket_open(KEYS[i], ARGV[2 * i - 1], ARGV[2 * i], now_ms)
    end
    for i = 1, #requests do
        answers[i + 1] = bucket_request(buckets, why, requests[i])
    end
    for i = 1, #KEYS do
        if buckets[i] then
            bucket_write(buckets[i])
        end
    end
    return answers
end

local function bucket_lease(KEYS, ARGV)
    local now_ms = bucket_clock()
    local b, why = bucket_open(KEYS[1], ARGV[1], ARGV[2], now_ms)
    local back, wanted = tonumber(ARGV[3]), tonumber(ARGV[4])
    local got, answer = 0, {}

    if not b then
        return { now_ms, 0, { why, 0, 0, 0, 0, 0, 0 } }
    end
    b.tokens = math.min(b.capacity, b.tokens + back * TOKEN)
    got = math.min(wanted, math.floor(b.tokens / TOKEN))
    b.tokens = b.tokens - got * TOKEN
    b.changed = b.changed or back > 0 or got > 0
    b.would_refuse = tonumber(ARGV[5])
    bucket_write(b)
    bucket_tell(answer, b, bucket_stands(b, TOKEN), TOKEN)
    return { now_ms, got, answer }
end

local function bucket_look(KEYS)
    local now_ms = bucket_clock()
    local answers = { now_ms }

    for i = 1, #KEYS do
        local b, why = bucket_open(KEYS[i], 0, 0, now_ms)
        local answer = {}
        if b then
            bucket_tell(answer, b, bucket_stands(b, TOKEN), TOKEN)
            answer[8] = tonumber(redis.call('HGET', KEYS[i], 'would_refuse') or '0')
        else
            answer = { why, 0, 0, 0, 0, 0, 0, 0 }
        end
        answers[i + 1] = answer
    end
    return answers
end

local function bucket_set(KEYS, ARGV)
    local name, allowed, channel = ARGV[1], tonumber(ARGV[2]), ARGV[3]
    local now_ms = bucket_clock()
    local b, why = bucket_open(KEYS[1], 0, 0, now_ms)
    local capacity = bucket_number(ARGV[4], TOKEN)
    local isnew = not redis.call('ZSCORE', KEYS[2], name)

    if isnew and redis.call('ZCARD', KEYS[2]) >= allowed then
        return -1
    end
    if why == BROKEN then
        redis.call('DEL', KEYS[1])
    end
    redis.call('HSET', KEYS[1], 'capacity', ARGV[4], 'refill_per_s', ARGV[5], 'tokens',
        bucket_text(b and math.min(b.tokens, capacity) or capacity), 'at_ms', string.format('%d', now_ms), 'mode',
        ARGV[6], 'dry_run', ARGV[7], 'without_redis', ARGV[8])
    redis.call('ZADD', KEYS[2], 0, name)
    redis.call('PUBLISH', channel, 'bucket ' .. name)
    return isnew and 1 or 0
end

local function bucket_delete(KEYS, ARGV)
    local had = redis.call('UNLINK', KEYS[1]) + redis.call('ZREM', KEYS[2], ARGV[1])
    if had > 0 then
        redis.call('PUBLISH', ARGV[2], 'bucket ' .. ARGV[1])
    end
    return had > 0 and 1 or 0
end

-- Takes go on when Redis is full: they hardly need more than is there.
redis.register_function({ function_name = 'weft1_bucket_take', callback = bucket_take, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'weft1_bucket_lease', callback = bucket_lease, flags = { 'allow-oom' } })
redis.register_function({ function_name = 'weft1_bucket_look', callback = bucket_look, flags = { 'no-writes' } })
redis.register_function('weft1_bucket_set', bucket_set)
redis.register_function({ function_name = 'weft1_bucket_delete', callback = bucket_delete, flags = { 'allow-oom' } })
