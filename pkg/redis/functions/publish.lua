--[[
weft1_publish: append events to their topics and tell who listens.

KEYS  1          head
      2          topics
      3 .. 2+T   log of each topic named in ARGV, in the same order
      3+T ..     once keys and producer keys
ARGV  1          channel of the partition (`weft:{0}:live`)
      2          how long once keys live, ms
      3          how long producer keys live, ms
      4          T
      5 .. 4+T   the topics
      5+T .. 4+2T  events kept for each of them (0: all)
      then each request: index of its once key among the keys behind the logs (0: none),
                 index of its producer key (0: none; else its epoch and the number of its first event follow),
                 number of events, and for each event:
                 type, envelope, topics as indexes from 1 (`1` or `1,3`)

Returns one string for each request: `<ms>-<seq> <n>`, the id of its first event; the n events of a
request have consecutive seqs. With `=` in front: it was taken before, these are the ids of that time (`=` alone: by its
numbers it was, the ids are not known any more). With `!` in front: refused, nothing of this request was written:
`!fenced <epoch>`, `!expected <number>` (10_producer.lua), or why in words.

A message on a channel is a run of lines `<id> <prev> <topic> <type> <envelope>`. The partition's channel gets
all lines in one message before the topics' channels get theirs; a topic's run is cut wherever another topic's
event stands between, so that whoever reads several channels sees ids that never go back.

Most calls are for one event: what they do not need is not made, no table and no closure.
]]

-- The seq of each topic's newest event, where its chain goes on; false for a new topic.
local function read_last(topics_key, ARGV, n_topics)
    if n_topics <= 1000 then
        return redis.call('ZMSCORE', topics_key, unpack(ARGV, 5, 4 + n_topics))
    end
    local last = {}
    for from = 1, n_topics, 1000 do
        local scores = redis.call('ZMSCORE', topics_key, unpack(ARGV, 4 + from, 4 + math.min(from + 999, n_topics)))
        for i = 1, #scores do
            last[from + i - 1] = scores[i]
        end
    end
    return last
end

-- The new topics whose key holds something that is not ours; nil if there are none.
local function find_bad(KEYS, last, n_topics)
    local bad
    for i = 1, n_topics do
        if not last[i] then
            local kind = redis.call('TYPE', KEYS[2 + i]).ok
            if kind ~= 'none' and kind ~= 'stream' then
                bad = bad or {}
                bad[i] = true
            end
        end
    end
    return bad
end

-- Numbers are taken before they are used: should a command fail halfway (somebody has put something
-- else in the place of a log), none of them is ever given twice. At most as many are needed as there are
-- events from the request at `a` on. Before this nothing was written: a refused call leaves no trace.
local function take_numbers(head_key, ARGV, a, seq, ms_text, more)
    while a <= #ARGV do
        if ARGV[a + 1] ~= '0' then
            a = a + 2
        end
        local n = tonumber(ARGV[a + 2])
        seq = seq + n
        a = a + 3 + 3 * n
    end
    if more then
        redis.call('HSET', head_key, unpack(more))
    end
    redis.call('HSET', head_key, 'seq', string.format('%d', seq), 'ms', ms_text)
    return seq
end

-- One event to the log of topic ti. s: what the call has done so far, see publish().
local function append(s, ti, seq_text, kind, envelope)
    local id = s.ms_text .. '-' .. seq_text
    local newest = s.newest[ti]
    local prev = newest or s.last[ti] or '0'
    local keep = s.ARGV[s.keeps + ti]
    if newest or keep == '0' then -- trimmed once in a call: a log may be longer by one call
        redis.call('XADD', s.KEYS[2 + ti], id, 'prev', prev, 'type', kind, 'event', envelope)
    else
        redis.call('XADD', s.KEYS[2 + ti], 'MAXLEN', '~', keep, id,
            'prev', prev, 'type', kind, 'event', envelope)
    end
    s.newest[ti] = seq_text
    local n = s.n_lines + 1
    s.n_lines = n
    s.lines[n] = id .. ' ' .. prev .. ' ' .. s.ARGV[4 + ti] .. ' ' .. kind .. ' ' .. envelope
    if s.owners then
        s.owners[n] = ti
    end
end

-- The ends of the chains.
local function write_last(topics_key, ARGV, newest, n_topics)
    if n_topics == 1 then
        redis.call('ZADD', topics_key, newest[1], ARGV[5])
        return
    end
    local scores = {}
    for ti, seq_text in pairs(newest) do
        scores[#scores + 1] = seq_text
        scores[#scores + 1] = ARGV[4 + ti]
        if #scores >= 1000 then
            redis.call('ZADD', topics_key, unpack(scores))
            scores = {}
        end
    end
    if #scores > 0 then
        redis.call('ZADD', topics_key, unpack(scores))
    end
end

local function tell(s, channel)
    local lines, owners = s.lines, s.owners
    local text = table.concat(lines, '\n')
    redis.call('PUBLISH', channel, text)
    if not owners then
        redis.call('PUBLISH', channel .. ':' .. s.ARGV[5], text)
        return
    end
    local from = 1
    while from <= s.n_lines do
        local ti, to = owners[from], from
        while owners[to + 1] == ti do
            to = to + 1
        end
        redis.call('PUBLISH', channel .. ':' .. s.ARGV[4 + ti], table.concat(lines, '\n', from, to))
        from = to + 1
    end
end

local function publish(KEYS, ARGV)
    local head_key, topics_key = KEYS[1], KEYS[2]
    local once_ttl, producer_ttl = ARGV[2], ARGV[3]
    local n_topics = tonumber(ARGV[4])
    local seq, ms, more = open_head(head_key)
    local last = read_last(topics_key, ARGV, n_topics)
    local bad = find_bad(KEYS, last, n_topics)
    local s = {
        KEYS = KEYS, ARGV = ARGV, keeps = 4 + n_topics, last = last, ms_text = string.format('%d', ms),
        newest = {}, -- by topic: seq of its newest event of this call
        lines = {}, n_lines = 0,
        owners = n_topics > 1 and {} or nil, -- the topic of each line
    }
    local answers, n_answers = {}, 0
    local taken -- the last number taken; nil: none yet

    local a = 5 + 2 * n_topics
    while a <= #ARGV do
        local at = a
        local once, producer, epoch, first = ARGV[a], ARGV[a + 1], nil, nil
        if producer ~= '0' then
            epoch, first = tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
            a = a + 2
        end
        local n_text = ARGV[a + 2]
        local n = tonumber(n_text)
        a = a + 3

        local answer
        if once ~= '0' then
            local before = redis.call('GET', KEYS[2 + n_topics + once])
            if before then
                answer = '=' .. before
                redis.call('SET', KEYS[2 + n_topics + once], before, 'KEEPTTL') -- for a WAIT behind this call
            end
        end
        if producer ~= '0' then
            answer = producer_verdict(KEYS[2 + n_topics + producer], producer_ttl, epoch, first, n)
        end
        if bad and not answer then
            for e = 0, n - 1 do
                for index in string.gmatch(ARGV[a + 3 * e + 2], '%d+') do
                    if bad[tonumber(index)] then
                        answer = '!the key of a topic holds something that is not a log'
                    end
                end
            end
        end
        if answer then
            a = a + 3 * n
        else
            taken = taken or take_numbers(head_key, ARGV, at, seq, s.ms_text, more)
            for e = 1, n do
                local kind, envelope, indexes = ARGV[a], ARGV[a + 1], ARGV[a + 2]
                a = a + 3
                seq = seq + 1
                local seq_text = string.format('%d', seq)
                if e == 1 then
                    answer = s.ms_text .. '-' .. seq_text .. ' ' .. n_text
                end
                local ti = n_topics == 1 and 1 or tonumber(indexes)
                if ti then -- nearly always: one topic
                    append(s, ti, seq_text, kind, envelope)
                else
                    for index in string.gmatch(indexes, '%d+') do
                        append(s, tonumber(index), seq_text, kind, envelope)
                    end
                end
            end
            if once ~= '0' then
                redis.call('SET', KEYS[2 + n_topics + once], answer, 'PX', once_ttl)
            end
            if producer ~= '0' then
                producer_took(KEYS[2 + n_topics + producer], producer_ttl, epoch, first, n, answer, s.ms_text)
            end
        end
        n_answers = n_answers + 1
        answers[n_answers] = answer
    end
    if not taken then
        return answers
    end
    if seq ~= taken then -- some requests were not taken
        redis.call('HSET', head_key, 'seq', string.format('%d', seq))
    end
    write_last(topics_key, ARGV, s.newest, n_topics)
    tell(s, ARGV[1])
    return answers
end

redis.register_function('weft1_publish', publish)
