"""`jishi plugin ...`: the same services as the platform routes, as the system itself."""

import msgspec

from core.deployment import service
from core.deployment.runtime import Runtime
from core.types.scope import SYSTEM


async def show(runtime: Runtime) -> str:
    """One line for each installed plugin."""
    async with runtime.tx(SYSTEM) as tx:
        rows = await service.plugins(tx, runtime)
    width = max([len(r.name) for r in rows], default=0)
    return (
        "\n".join(f"{r.name:<{width}}  {'on ' if r.enabled else 'off'}  {r.version}  {r.title}" for r in rows)
        or "No plugins."
    )


async def enable(runtime: Runtime, name: str) -> str:
    """Switch on."""
    async with runtime.tx(SYSTEM) as tx:
        await service.enable(tx, runtime, name, None)
    return f"{name} is on."


async def disable(runtime: Runtime, name: str) -> str:
    """Switch off for new business."""
    async with runtime.tx(SYSTEM) as tx:
        await service.disable(tx, runtime, name, None)
    return f"{name} is off for new business; what was begun goes on."


async def configure(runtime: Runtime, name: str, value: str | None) -> str:
    """Show the config, or change it to the JSON in `value`."""
    async with runtime.tx(SYSTEM) as tx:
        if value is not None:
            await service.configure(tx, runtime, name, msgspec.Raw(value.encode()), None)
        found = await service.config(tx, runtime, name)
    return msgspec.json.format(msgspec.json.encode(found.config)).decode()
