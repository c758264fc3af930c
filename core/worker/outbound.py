"""Outside calls that effects and guards asked for: made with no transaction open, at least once, under one key."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any
from uuid import UUID

import httpx
import msgspec

from core.db import calls
from core.db.outside import Outside
from core.deployment.runtime import Runtime
from core.kit.settings import Settings
from core.payment.provider import base_url
from core.plugin import Outbound
from core.types.scope import SYSTEM, Scope

_TIMEOUT = httpx.Timeout(30, connect=5)
_LOCK = "select from delivery where event_id = $1 and plugin = $2 and status || '' = 'sent' for update"
_DONE = """
update delivery set status = 'done', done_at = $3, error = null, answer = $4::jsonb where event_id = $1 and plugin = $2
"""


async def make(
    runtime: Runtime, entry: Outbound, key: UUID, plugin: str, payload: bytes, scope: Scope
) -> bool:
    """Call the outside, then keep the answer and mark the call as done in one transaction. False when it was done or dropped
    meanwhile. Raises what the plugin raises."""
    raw = msgspec.Raw(payload)
    async with _outside(runtime) as outside:
        answer = await entry.call(outside, key, raw)
    async with runtime.tx(SYSTEM) as tx:
        if await tx.fetchrow(_LOCK, key, plugin) is None:
            return False
        if entry.done is not None:
            if scope != SYSTEM:
                await tx.enter(scope)
            await entry.done(tx, key, raw, answer)
            if scope != SYSTEM:
                await tx.enter(SYSTEM)
        await tx.execute(_DONE, key, plugin, tx.now, _json(answer))
    return True


@asynccontextmanager
async def _outside(runtime: Runtime) -> AsyncIterator[Outside]:
    settings: Settings = runtime.env.settings
    async with calls.client(
        base_url=base_url(settings), timeout=_TIMEOUT, trust_env=False, verify=_tls()
    ) as http:
        yield Outside(runtime.env, http, runtime.tx, runtime.clock)


@lru_cache(1)
def _tls() -> ssl.SSLContext:
    """One for all calls: making it takes longer than a call."""
    return httpx.create_ssl_context(trust_env=False)


def _json(answer: Any) -> str | None:
    return None if answer is None else msgspec.json.encode(answer).decode()
