-- Frees finished wake-ups of an apalis queue, at most 1,000 of each set per call so that Redis is not held up.
-- KEYS: done set, dead set, data hash, prefix of the metadata hashes
local freed = 0
for set = 1, 2 do
  for _, id in ipairs(redis.call('SPOP', KEYS[set], 1000)) do
    redis.call('HDEL', KEYS[3], id)
    redis.call('DEL', KEYS[4] .. ':' .. id)
    freed = freed + 1
  end
end
return freed
