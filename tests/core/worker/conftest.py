"""A runtime that knows only the probe plugins, and worker processes."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from core.deployment.runtime import Runtime
from core.kit.settings import Settings
from tests.core.worker import worker_probe as probing
from tests.core.worker.worker_probe import Start

_FOLDER = Path(__file__).parent
_ROOT = _FOLDER.parents[2]


@pytest.fixture
async def probe(settings: Settings, owner: str) -> AsyncIterator[Runtime]:
    """An opened runtime with the plugin `probe` on."""
    await probing.prepare(settings, owner)
    runtime = probing.make_runtime(settings)
    await runtime.open()
    await runtime.redis.flushdb()
    yield runtime
    await runtime.close()


@pytest.fixture
async def start_worker() -> AsyncIterator[Start]:
    """Starts worker processes for a runtime's deployment; whatever still runs is killed at the end."""
    started: list[asyncio.subprocess.Process] = []

    async def start(runtime: Runtime) -> asyncio.subprocess.Process:
        settings = msgspec.json.encode(runtime.env.settings).decode()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(_FOLDER / "worker_probe.py"),
            settings,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])},
            stdout=2,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()
