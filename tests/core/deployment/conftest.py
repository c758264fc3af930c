"""Processes on a fresh database."""

from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest

from core import hookspecs
from core.deployment.runtime import Runtime
from core.deployment.service import ensure
from core.kit.crypto import Vault
from core.kit.settings import Env, Settings
from core.plugin import Plugin
from tests.core.deployment.deployment_plugins import CLASSES, Make


@pytest.fixture
async def make(settings: Settings, owner: str) -> AsyncIterator[Make]:
    """Makes opened runtimes (processes) on one database whose first enabled set is `base`."""
    connection = await asyncpg.connect(owner)
    await connection.execute("""begin; set local jishi.scope = 'system';
        delete from deployment_plugin; delete from generation; commit""")
    await connection.close()
    await ensure(settings.database_url, CLASSES, ["base"], hookspecs)
    opened: list[Runtime] = []

    async def make(classes: dict[str, type[Plugin]] = CLASSES, **changes: object) -> Runtime:
        own = msgspec.structs.replace(settings, **changes)
        runtime = Runtime(Env(own, Vault(b"0123456789abcdef" * 2)), classes, hookspecs)
        opened.append(runtime)
        await runtime.open()
        return runtime

    yield make
    for runtime in opened:
        await runtime.close()
