"""The scripts that executors run in Redis: each is one decision or one change, on the server's clock, all or nothing.

Keys share one hash tag, so that they lie on one node of a cluster:
- `executors`: sorted set of executors by the end of their lease, microseconds of the server's clock.
- `used`: hash of counts of all executors together; `global:`, `team:shop` are runs at work, `w:team:shop` and
  `b:team:shop` interactive and batch runs that wait.
- `held:<executor>`: the same of one executor. What it held goes back when its lease ends, whole and once.
- `starts:<level>`: list of the times at which runs began, oldest first, of levels with a rate.
- `turns:<level>`: hash of executors that wait for this level: since when, and when they asked last. A place is kept for
  each of them that asks on, in the order in which they came, so none takes every place that it frees.
"""

_CLOCK = """
local prefix, me, lease = ARGV[1], ARGV[2], tonumber(ARGV[3])
local executors, used = KEYS[1], KEYS[2]
local function text(number) return string.format('%.0f', number) end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function change(who, field, by)
  if redis.call('HINCRBY', who, field, by) <= 0 then redis.call('HDEL', who, field) end
end
local function forget(executor)
  local held = redis.call('HGETALL', prefix .. 'held:' .. executor)
  for i = 1, #held, 2 do change(used, held[i], -tonumber(held[i + 1])) end
  redis.call('DEL', prefix .. 'held:' .. executor)
  redis.call('ZREM', executors, executor)
end
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', executors, '-inf', text(now), 'LIMIT', 0, 8)) do forget(dead) end
local mine = prefix .. 'held:' .. me
"""

_KNOWN = """
if not redis.call('ZSCORE', executors, me) then return {-1} end
redis.call('ZADD', executors, text(now + lease), me)
"""

# ARGV: prefix, me, lease; then the executor's former name ('' = none) and what it holds now: field, count, ...
JOIN = f"""{_CLOCK}
if ARGV[4] ~= '' then forget(ARGV[4]) end
redis.call('ZADD', executors, text(now + lease), me)
for i = 5, #ARGV, 2 do
  redis.call('HINCRBY', used, ARGV[i], ARGV[i + 1])
  redis.call('HINCRBY', mine, ARGV[i], ARGV[i + 1])
end
return {{1}}
"""

# ARGV: prefix, me, lease; then what changed: field, by, ... Nothing = a sign of life.
CHANGE = f"""{_CLOCK}{_KNOWN}
for i = 4, #ARGV, 2 do
  change(used, ARGV[i], ARGV[i + 1])
  change(mine, ARGV[i], ARGV[i + 1])
end
return {{1}}
"""

LEAVE = f"""{_CLOCK}
forget(me)
return {{1}}
"""

LOOK = f"""{_CLOCK}{_KNOWN}
return redis.call('HGETALL', used)
"""

# ARGV: prefix, me, lease, may take (1, 0), counted as waiting (1, 0), lane (w, b), window, freshness of a turn;
# then of each level: name, concurrency, rate, queue depth (-1 = no limit), keeps its starts (1, 0).
# Returns {1} a place; {0, level, limit, due, ahead} none, and it waits; {2, level, limit, due, full level} refused.
# `limit` is 1 for concurrency and 2 for the rate; `level` 0 = it was not to take one; `due` in microseconds from now.
ENTER = f"""{_CLOCK}{_KNOWN}
local take, counted, lane = ARGV[4] == '1', ARGV[5] == '1', ARGV[6] .. ':'
local window, fresh = tonumber(ARGV[7]), tonumber(ARGV[8])
local levels = {{}}
for i = 9, #ARGV, 5 do
  local name = ARGV[i]
  levels[#levels + 1] = {{
    name = name, concurrency = tonumber(ARGV[i + 1]), rate = tonumber(ARGV[i + 2]), depth = tonumber(ARGV[i + 3]),
    keeps = ARGV[i + 4] == '1', starts = prefix .. 'starts:' .. name, turns = prefix .. 'turns:' .. name,
  }}
end
local function turns_before_me(level)
  local since, others = nil, {{}}
  local all = redis.call('HGETALL', level.turns)
  for i = 1, #all, 2 do
    local came, asked = string.match(all[i + 1], '(%d+) (%d+)')
    if tonumber(asked) + fresh > now then
      if all[i] == me then since = tonumber(came) else others[#others + 1] = tonumber(came) end
    end
  end
  local before = 0
  for _, came in ipairs(others) do if not since or came < since then before = before + 1 end end
  return before, since
end
local function blocked(level)
  if level.concurrency < 0 and level.rate < 0 then return nil end
  local before, since = turns_before_me(level)
  if level.concurrency >= 0 then
    local running = tonumber(redis.call('HGET', used, level.name) or '0')
    if running + before >= level.concurrency then return 1, 0, since end
  end
  if level.rate >= 0 then
    local room = level.rate - before
    if room <= 0 then return 2, 0, since end
    local start = redis.call('LINDEX', level.starts, -room)
    if start and tonumber(start) + window > now then return 2, tonumber(start) + window - now, since end
  end
  return nil
end
local at, limit, due, since = 0, 0, 0, nil
if take then
  for i, level in ipairs(levels) do
    limit, due, since = blocked(level)
    if limit then at = i; break end
  end
  if at == 0 then
    for _, level in ipairs(levels) do
      change(used, level.name, 1)
      change(mine, level.name, 1)
      if counted then change(used, lane .. level.name, -1); change(mine, lane .. level.name, -1) end
      redis.call('HDEL', level.turns, me)
      if level.keeps then
        for _ = 1, 2 do
          local oldest = redis.call('LINDEX', level.starts, 0)
          if oldest and tonumber(oldest) + window <= now then redis.call('LPOP', level.starts) end
        end
        local newest = redis.call('LINDEX', level.starts, -1)
        local start = now
        if newest and tonumber(newest) > now then start = tonumber(newest) end
        redis.call('RPUSH', level.starts, text(start))
        redis.call('PEXPIRE', level.starts, text(math.ceil(window / 1000) + 1000))
      end
    end
    return {{1}}
  end
end
local ahead = 0
if not counted then
  for i, level in ipairs(levels) do
    local waiting = tonumber(redis.call('HGET', used, lane .. level.name) or '0')
    if level.depth >= 0 and waiting >= level.depth then return {{2, at, limit, due, i}} end
    if i == math.max(at, 1) then ahead = waiting end
  end
  for _, level in ipairs(levels) do change(used, lane .. level.name, 1); change(mine, lane .. level.name, 1) end
end
if at > 0 then
  local level = levels[at]
  redis.call('HSET', level.turns, me, text(since or now) .. ' ' .. text(now))
  redis.call('PEXPIRE', level.turns, 2000)
end
return {{0, at, limit, due, ahead}}
"""
