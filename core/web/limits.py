"""Rate limits: a fixed window counted atomically in Redis. Away Redis means no limit, never no service."""

from collections.abc import Awaitable
from typing import cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.kit.errors import TooManyRequests

_COUNT = """
local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return {n, redis.call('TTL', KEYS[1])}
"""
_log = structlog.get_logger("jishi.web")


async def count(redis: "Redis", key: str, calls: int, seconds: int) -> None:
    """Count one call of `key`. Raises `TooManyRequests` beyond `calls` in `seconds`."""
    try:
        n, ttl = await cast(Awaitable[list[int]], redis.eval(_COUNT, 1, f"limit:{key}", str(seconds)))
    except (RedisError, OSError) as error:
        _log.warning("rate limit not checked", key=key.split(":")[0], error=str(error))
        return
    if n > calls:
        raise TooManyRequests(
            f"At most {calls} calls in {seconds} s; try again in {max(ttl, 1)} s.", max(ttl, 1)
        )
