"""Limits over several hosts: one script in Redis looks at all counts of a call and takes them, or none.

Minutes are windows of 61 seconds by Redis's clock. What a worker has under way (calls, money reserved) counts while
the worker says that it lives. What was spent is posted by each host from its own counts, so that an emptied Redis
learns it again. It costs a call one round trip; it knows no price and does not decide what happens without Redis.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lyceum.core.ids import random_id
from lyceum.gateway.counters import Counters, Refused, Scope
from lyceum.gateway.redis import Redis

ALIVE = 15.0  # seconds for which a worker that says nothing more counts
NAMES = ("requests_per_minute", "tokens_per_minute", "concurrent", "budget_day", "budget_month")
ADMIT = """
local second, tokens, cost, worker = tonumber(redis.call('TIME')[1]), tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
redis.call('SET', 'lyceum:alive:' .. worker, 1, 'PX', ARGV[4])
local seconds = {}
for i, key in ipairs(KEYS) do
  local limit = {}
  for j = 1, 7 do limit[j] = tonumber(ARGV[7 + (i - 1) * 7 + j]) end
  local now, last = second, tonumber(redis.call('HGET', key, 's') or '0')
  if now < last and last - now < 61 then now = last end
  if now - last >= 61 or now < last then
    redis.call('DEL', key)
  else
    for s = last + 1, now do
      for _, name in ipairs({'r', 't'}) do
        local much = redis.call('HGET', key, name .. s % 61)
        if much then
          redis.call('HINCRBY', key, name, -much)
          redis.call('HDEL', key, name .. s % 61)
        end
      end
    end
  end
  redis.call('HSET', key, 's', now)
  seconds[i] = now
  local function free(name, much)
    for s = now - 60, now do
      much = much - tonumber(redis.call('HGET', key, name .. s % 61) or '0')
      if much <= 0 then return s + 61 - now end
    end
    return -1
  end
  local over = tonumber(redis.call('HGET', key, 'r') or '0') + 1 - limit[1]
  if limit[1] > 0 and over > 0 then return 'no ' .. i .. ' 0 ' .. free('r', over) end
  over = tonumber(redis.call('HGET', key, 't') or '0') + tokens - limit[2]
  if limit[2] > 0 and over > 0 then return 'no ' .. i .. ' 1 ' .. free('t', over) end
  local calls, reserved = 0, 0
  local held = redis.call('HGETALL', key .. ':held')
  for j = 1, #held, 2 do
    local name, whose = held[j]:sub(1, 1), held[j]:sub(2)
    if redis.call('EXISTS', 'lyceum:alive:' .. whose) == 0 then
      redis.call('HDEL', key .. ':held', held[j])
    elseif name == 'c' then calls = calls + tonumber(held[j + 1]) else reserved = reserved + tonumber(held[j + 1]) end
  end
  if limit[3] > 0 and calls >= limit[3] then return 'no ' .. i .. ' 2 1' end
  for j = 4, 5 do
    if limit[j] > 0 then
      local board = key .. ':' .. ARGV[j + 1]
      local own = tonumber(redis.call('HGET', board, ARGV[7]) or '0')
      if limit[j + 2] > own then redis.call('HSET', board, ARGV[7], limit[j + 2]) end
      redis.call('EXPIRE', board, 3456000)
      local spent = reserved
      for _, much in ipairs(redis.call('HVALS', board)) do spent = spent + tonumber(much) end
      if cost > 0 and spent + cost > limit[j] then return 'no ' .. i .. ' ' .. (j - 1) .. ' 0' end
    end
  end
end
for i, key in ipairs(KEYS) do
  for name, much in pairs({r = 1, t = tokens}) do
    redis.call('HINCRBY', key, name, much)
    redis.call('HINCRBY', key, name .. seconds[i] % 61, much)
  end
  redis.call('EXPIRE', key, 120)
  redis.call('HINCRBY', key .. ':held', 'c' .. worker, 1)
  redis.call('HINCRBY', key .. ':held', 'v' .. worker, ARGV[2])
end
return 'ok ' .. table.concat(seconds, ' ')
"""
SETTLE = """
for i, key in ipairs(KEYS) do
  local second, tokens = tonumber(ARGV[7 + (i - 1) * 3 + 1]), tonumber(ARGV[1])
  local last = tonumber(redis.call('HGET', key, 's') or '0')
  if last >= second and last - second < 61 and redis.call('HEXISTS', key, 't' .. second % 61) == 1 then
    redis.call('HINCRBY', key, 't', tokens)
    redis.call('HINCRBY', key, 't' .. second % 61, tokens)
  end
  for name, much in pairs({c = 1, v = tonumber(ARGV[2])}) do
    local left = tonumber(redis.call('HGET', key .. ':held', name .. ARGV[3]) or '0') - much
    redis.call('HSET', key .. ':held', name .. ARGV[3], math.max(0, left))
  end
  for j = 4, 5 do
    local spent, board = tonumber(ARGV[7 + (i - 1) * 3 + j - 2]), key .. ':' .. ARGV[j]
    if spent > tonumber(redis.call('HGET', board, ARGV[6]) or '0') then redis.call('HSET', board, ARGV[6], spent) end
    redis.call('EXPIRE', board, 3456000)
  end
end
return 'ok'
"""


class Taken(NamedTuple):
    """Under whose name a call was counted, and in which second of each scope."""

    worker: str
    seconds: list[int]


class Hosts:
    """Counts at `redis` what `counters` count of this host, whose home is `home`."""

    def __init__(self, redis: Redis, counters: Counters, home: Path) -> None:
        self.redis, self.counters = redis, counters
        self.worker = random_id()
        self.host = f"{socket.gethostname()}:{hashlib.sha256(str(home).encode()).hexdigest()[:8]}"
        self._beating: asyncio.Task[None] | None = None

    async def admit(self, scopes: tuple[Scope, ...], tokens: int, cost: int) -> Refused | Taken | None:
        """Return what was taken, why it was refused, or None when Redis does not answer."""
        if self._beating is None:
            self._beating = asyncio.get_running_loop().create_task(self._beat())
        counters, worker = self.counters, self.worker
        told: list[int] = []
        counters.today()
        for one in scopes:
            told += (*one.limits(), *counters.spending(one.base))
        date = counters.date
        arguments: list[int | str] = [
            tokens,
            cost,
            worker,
            int(ALIVE * 1000),
            date,
            date[:7],
            self.host,
            *told,
        ]
        asking = asyncio.ensure_future(self.redis.ask(*_words(ADMIT, scopes, arguments)))
        try:
            answer = await asyncio.shield(asking)
        except asyncio.CancelledError:  # the client left; what is taken meanwhile must come back
            asking.add_done_callback(lambda done: self._back(scopes, worker, done.result(), tokens, cost))
            raise
        if answer is None:
            # It may have been counted: under a name that dies, so that it is not held for ever.
            self.worker = random_id()
            return None
        how, *rest = answer.decode().split()
        if how == "ok":
            return Taken(worker, [int(one) for one in rest])
        scope, at, wait = scopes[int(rest[0]) - 1], int(rest[1]), float(rest[2])
        if NAMES[at].startswith("budget"):
            wait = counters.left(NAMES[at]) if cost <= scope.limits()[at] else -1
        return Refused(NAMES[at], scope, wait)

    def _back(
        self, scopes: tuple[Scope, ...], worker: str, answer: bytes | None, tokens: int, cost: int
    ) -> None:
        if answer is not None and answer.startswith(b"ok"):
            self.settle(scopes, Taken(worker, [int(one) for one in answer.split()[1:]]), -tokens, cost)

    def settle(self, scopes: tuple[Scope, ...], taken: Taken, tokens: int, reserved: int) -> None:
        """Give back what was reserved; the host's own counts know already what was spent."""
        told: list[int] = []
        for one, second in zip(scopes, taken.seconds, strict=True):
            told += (second, *self.counters.spending(one.base))
        date = self.counters.date
        arguments: list[int | str] = [tokens, reserved, taken.worker, date, date[:7], self.host, 0, *told]
        self.redis.tell(*_words(SETTLE, scopes, arguments))

    def close(self) -> None:
        """Say no more that this worker lives."""
        if self._beating is not None:
            self._beating.cancel()
            self.redis.tell(b"DEL", b"lyceum:alive:" + self.worker.encode())
        self.redis.close()

    async def _beat(self) -> None:
        while True:
            self.redis.tell(
                b"SET", b"lyceum:alive:" + self.worker.encode(), b"1", b"PX", b"%d" % (ALIVE * 1000)
            )
            await asyncio.sleep(ALIVE / 3)


def _words(script: str, scopes: tuple[Scope, ...], arguments: Sequence[int | str]) -> list[bytes]:
    keys = [f"lyceum:limit:{one.kind}:{one.name}" for one in scopes]
    return [b"EVAL", *(str(one).encode() for one in (script, len(keys), *keys, *arguments))]
