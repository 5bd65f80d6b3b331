-- Appends one event to a stream and tells whoever listens now, as one step.
-- KEYS: stream, channel; ARGV: id, name, data, seconds to live, entries at most
local added = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], ARGV[1], 'n', ARGV[2], 'd', ARGV[3])
if type(added) == 'table' and added.err then
  -- An id at or below the last one comes from a worker that lost its lease: say nothing.
  return 0
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', KEYS[2], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
return 1
