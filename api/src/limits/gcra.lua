-- Takes one request from every limit that it falls under, or from none: the generic cell rate algorithm (ITU-T I.371)
-- as a virtual schedule, after https://brandur.org/rate-limiting. A limit is one number in Redis: the time at which all
-- that was taken is given back.
-- KEYS: one per limit; ARGV: for each the requests and the microseconds in which they are given back.
-- Returns for each: 1 if it allows the request, what remains, microseconds until it is whole, and until it allows one.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local told, whole_at, all = {}, {}, true
for i, key in ipairs(KEYS) do
  local count, period = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  -- Rounded down, so that the last of a full count is not refused for a fraction.
  local interval = math.floor(period / count)
  local taken_until = tonumber(redis.call('GET', key) or now)
  -- A limit that was made smaller, or a clock that was set back, must not shut anybody out for longer than a period.
  taken_until = math.min(math.max(taken_until, now), now + period)
  local after = taken_until + interval
  local allowed = after - period <= now
  all = all and allowed
  whole_at[i] = allowed and after or taken_until
  local remaining = math.min(count, math.floor((period - (whole_at[i] - now)) / interval))
  told[i] = { allowed and 1 or 0, remaining, whole_at[i] - now, allowed and 0 or after - period - now }
end
if all then
  for i, key in ipairs(KEYS) do
    -- As digits: Lua's own way would round to 14 of them.
    redis.call('SET', key, string.format('%.0f', whole_at[i]), 'PX', math.ceil((whole_at[i] - now) / 1000))
  end
end
return told
