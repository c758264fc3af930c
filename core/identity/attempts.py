"""Failed sign-ins per login, counted in Redis: 10 in 15 minutes, wherever they come from.

An attempt is counted before the password is looked at, or many at once would all pass the check; success
clears the count. The key is a blind index: Redis learns no login. Away Redis means no limit, not no service.
"""

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core.kit.errors import TooManyRequests
from core.kit.settings import Env

MOST = 10
WINDOW = 15 * 60

_log = structlog.get_logger("jishi.identity")

_COUNT = """
local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return {n, redis.call('TTL', KEYS[1])}
"""


class Attempts:
    """The count of one login. Off when `settings.rate_limits` is."""

    def __init__(self, redis: Redis, env: Env, login: str) -> None:
        self._redis = redis
        self._on = env.settings.rate_limits
        self._key = f"jishi:signin:{env.vault.blind(f'signin:{login}').hex()}"

    async def count(self) -> None:
        """Count one attempt. Raises `TooManyRequests`."""
        if not self._on:
            return
        try:
            tried, left = await self._redis.eval(_COUNT, 1, self._key, WINDOW)
        except (RedisError, OSError) as error:
            _log.warning("failed sign-ins not counted", error=str(error))
            return
        if tried > MOST:
            raise TooManyRequests("Too many failed sign-ins for this login; wait a while.", max(1, left))

    async def clear(self) -> None:
        """The password was right: begin to count anew."""
        if not self._on:
            return
        try:
            await self._redis.delete(self._key)
        except (RedisError, OSError) as error:
            _log.warning("failed sign-ins not cleared", error=str(error))
