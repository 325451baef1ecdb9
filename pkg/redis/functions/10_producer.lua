--[[
Numbered producers. A producer numbers its events within an epoch: 0, 1, 2 ... Its key is a hash:

  epoch    the newest one that it has come with; older ones are fenced off
  seq      number of the last event taken
  from     number of the first event of the last request taken
  answer   the answer to that request
  at_ms    when that was

Whoever has no state here begins with 0: a new producer, a new epoch, or one whose state expired.
]]

-- What a request with events first .. first+n-1 is: nil if they are the next ones, else its answer.
-- Also a duplicate writes something, so that a WAIT behind this call covers the first time.
local function producer_verdict(key, ttl, epoch, first, n)
    local state = redis.pcall('HMGET', key, 'epoch', 'seq', 'from', 'answer')
    if state.err then
        return '!the key of the producer holds something that is not a producer'
    end
    local current, last = tonumber(state[1]), tonumber(state[2])
    if not current or not last or epoch > current then
        return first ~= 0 and '!expected 0' or nil
    end
    if epoch < current then
        return string.format('!fenced %d', current)
    end
    if first == last + 1 then
        return nil
    end
    if first + n - 1 > last then -- a hole, or events of which some were taken
        return string.format('!expected %d', last + 1)
    end
    redis.call('PEXPIRE', key, ttl)
    if tonumber(state[3]) == first and first + n - 1 == last and state[4] then
        return '=' .. state[4]
    end
    return '='
end

local function producer_took(key, ttl, epoch, first, n, answer, ms_text)
    redis.call('HSET', key, 'epoch', string.format('%d', epoch), 'seq', string.format('%d', first + n - 1),
        'from', string.format('%d', first), 'answer', answer, 'at_ms', ms_text)
    redis.call('PEXPIRE', key, ttl)
end
