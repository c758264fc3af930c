"""A process put together for one command: settings, plugins, hooks."""

import asyncio
import sys
from collections.abc import Mapping

from core import hookspecs
from core.command import config, run
from core.deployment.runtime import Runtime
from core.kit.errors import JishiError
from core.kit.settings import Env
from core.plugin import Plugin, discover
from core.worker.core_plugin import CorePlugin


def make_runtime(env: Env, classes: Mapping[str, type[Plugin]] | None = None) -> Runtime:
    """What a process holds; open it before use."""
    found = classes if classes is not None else discover()
    return Runtime(env, found, hookspecs, always=(CorePlugin(),))


def environment() -> Env:
    """Settings and secret, as the environment has them."""
    settings, _ = config.load()
    return config.make_env(run.attach(settings))


def with_runtime(action: run.Action) -> None:
    """Do `action` and print its answer; what it refuses ends the program with the reason."""
    env = environment()

    async def act() -> str:
        runtime = make_runtime(env)
        await runtime.open()
        try:
            return await action(runtime)
        finally:
            await runtime.close()

    try:
        sys.stdout.write(asyncio.run(run.reachable(act())) + "\n")
    except JishiError as error:
        fields = "".join(f"\n  {f.field}: {f.detail}" for f in error.extra.get("errors", ()))
        sys.exit(f"jishi: {error.detail}{fields}")
