"""What Redis runs by itself, so that an exchange is one round trip and nothing comes between.

An entity is a hash of `s` (the snapshot) and `b` (its version), and a list of the payloads that
came since; its version is `b` and the length of the list. An event is a hash of the versions that
it gave. Versions begin with the server's microseconds, so that an entity that was forgotten never
takes an old version again; Lua counts in doubles, which are exact up to the year 2255.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Script:
    """A Lua script, and the name by which the server knows it."""

    text: str

    @property
    def sha(self) -> str:
        """The digest that `EVALSHA` wants."""
        return _sha(self.text)


@functools.cache
def _sha(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


_NOW = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function text(x) return string.format('%.0f', x) end
"""

# one string of the whole tail: a client parses one answer faster than dozens
_FRAMED = """
local function framed(tail)
  for i = 1, #tail do tail[i] = struct.pack('<I4', #tail[i]) .. tail[i] end
  return table.concat(tail)
end
"""

EXCHANGE = Script(
    _NOW
    + _FRAMED
    + """
local payload, at = ARGV[1], tonumber(ARGV[2])
local retention, remember = tonumber(ARGV[3]), ARGV[4]
local known = redis.call('HGETALL', KEYS[1])
local fresh, given = #known == 0, {}
for i = 1, #known, 2 do given[known[i]] = known[i + 1] end
local ahead = math.floor(math.min(math.max((at - now) / 1000, 0), retention))
local out, noted = {fresh and 1 or 0}, {}
for i = 1, (#KEYS - 1) / 2 do
  local state, list, key = KEYS[2 * i], KEYS[2 * i + 1], ARGV[4 + i]
  local row = redis.call('HMGET', state, 's', 'b')
  local tail = {}
  if row[2] then
    tail = redis.call('LRANGE', list, 0, -1)
  elseif fresh then
    redis.call('DEL', list)
    row[2] = text(now)
    redis.call('HSET', state, 'b', row[2])
  end
  local n = #tail
  out[i + 1] = {row[1], row[2], framed(tail), given[key] or false}
  if fresh then
    redis.call('RPUSH', list, payload)
    local ttl = math.max(retention + ahead, redis.call('PTTL', state))
    redis.call('PEXPIRE', state, text(ttl))
    redis.call('PEXPIRE', list, text(ttl))
    noted[#noted + 1] = key
    noted[#noted + 1] = text(tonumber(row[2]) + n + 1)
  end
end
if fresh then
  redis.call('HSET', KEYS[1], unpack(noted))
  redis.call('PEXPIRE', KEYS[1], remember)
end
return out
"""
)
"""KEYS: the event, then state and list of each entity; ARGV: payload, at, lifetimes in
milliseconds, the keys. Returns whether it is new, then snapshot, base, framed tail, given."""

COMPACT = Script(
    """
local base = tonumber(redis.call('HGET', KEYS[1], 'b'))
if not base then return 0 end
local folds = tonumber(ARGV[1]) - base
if folds < 0 or folds > redis.call('LLEN', KEYS[2]) then return 0 end
redis.call('HSET', KEYS[1], 's', ARGV[2], 'b', ARGV[1])
redis.call('LTRIM', KEYS[2], folds, -1)
return 1
"""
)
"""KEYS: state, list; ARGV: the version that the snapshot stands for, the snapshot."""

READ = Script(
    _FRAMED
    + """
local out = {}
for i = 1, #KEYS / 2 do
  local row = redis.call('HMGET', KEYS[2 * i - 1], 's', 'b')
  out[i] = {row[1], row[2], framed(redis.call('LRANGE', KEYS[2 * i], 0, -1))}
end
return out
"""
)
"""KEYS: state and list of each entity. Returns snapshot, base, framed tail of each."""

VERSIONS = Script(
    """
local out = {}
for i = 1, #KEYS / 2 do
  local base = tonumber(redis.call('HGET', KEYS[2 * i - 1], 'b'))
  local n = redis.call('LLEN', KEYS[2 * i])
  out[i] = 0
  if base then out[i] = base + n end
end
return out
"""
)
"""KEYS: state and list of each entity. Returns their versions, 0 for none."""

IMPORT = Script(
    _NOW
    + """
local base = tonumber(redis.call('HGET', KEYS[1], 'b'))
if base and ARGV[1] == '0' then return 0 end
local first = now
if base then first = math.max(now, base + redis.call('LLEN', KEYS[2]) + 1) end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'b', text(first))
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 's', ARGV[4]) end
for i = 5, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if #ARGV > 4 then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
return 1
"""
)
"""KEYS: state, list; ARGV: whether to replace, retention in milliseconds, whether there is a
snapshot, the snapshot, the tail."""
