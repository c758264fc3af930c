"""`jishi plugin ...`: the same services as the platform routes, as the system itself."""

import msgspec

from core.deployment import history as changes
from core.deployment import removal, service
from core.deployment.runtime import Runtime
from core.deployment.schemas import Generation, PluginInfo
from core.types.scope import SYSTEM


async def show(runtime: Runtime) -> str:
    """One line for each installed plugin."""
    async with runtime.tx(SYSTEM) as tx:
        rows = await service.plugins(tx, runtime)
    width = max([len(r.name) for r in rows], default=0)
    return "\n".join(_line(r, width) for r in rows) or "No plugins."


async def enable(runtime: Runtime, name: str) -> str:
    """Switch on."""
    await service.enable(runtime, name)
    return f"{name} is on."


async def disable(runtime: Runtime, name: str) -> str:
    """Switch off for new business."""
    found = await service.disable(runtime, name)
    return f"{name} is off for new business; what was begun goes on{_owes(found)}."


async def configure(runtime: Runtime, name: str, value: str | None) -> str:
    """Show the config, or change it to the JSON in `value`."""
    if value is not None:
        await service.configure(runtime, name, msgspec.Raw(value.encode()))
    async with runtime.tx(SYSTEM) as tx:
        found = await service.config(tx, runtime, name)
    return msgspec.json.format(msgspec.json.encode(found.config)).decode()


async def quarantine(runtime: Runtime, name: str, reason: str) -> str:
    """Let nothing of it run."""
    found = await removal.quarantine(runtime, name, reason)
    return f"Nothing of {name} runs any more until it is released{_owes(found)}."


async def release(runtime: Runtime, name: str) -> str:
    """Out of quarantine."""
    found = await removal.release(runtime, name)
    return f"{name} is {'on' if found.enabled else 'off for new business'} again; what waited for it runs."


async def purge(runtime: Runtime, name: str) -> str:
    """Remove its tables and rows."""
    found = await removal.purge(runtime, name)
    return f"{name} is gone, with its tables: {', '.join(found.tables) or 'none'}."


async def history(runtime: Runtime) -> str:
    """The newest changes, one line each."""
    async with runtime.tx(SYSTEM) as tx:
        page = await changes.page(tx, 50, None)
    lines = [_change(g) for g in page.items]
    return "\n".join([*lines, *(["(and older ones)"] if page.next_cursor else [])]) or "Nothing was changed."


async def undo(runtime: Runtime, generation: int | None) -> str:
    """Back to before the newest generation, or before `generation` if that is still the newest."""
    expected = generation if generation is not None else runtime.snapshot.generation
    return _change(await changes.undo(runtime, expected))


def _line(plugin: PluginInfo, width: int) -> str:
    state = "!! " if plugin.quarantine is not None else "on " if plugin.enabled else "off"
    why = f"  (quarantine: {plugin.quarantine})" if plugin.quarantine is not None else ""
    return f"{plugin.name:<{width}}  {state}  {plugin.version}  {plugin.title}{why}{_owes(plugin)}"


def _owes(plugin: PluginInfo) -> str:
    listed = ", ".join(f"{count} {what}" for what, count in sorted((plugin.open or {}).items()))
    return f" (open: {listed})" if listed else ""


def _change(change: Generation) -> str:
    who = (change.by.login or change.by.id) if change.by is not None else "the command line"
    reason = f": {change.reason}" if change.reason else ""
    return f"{change.number}  {change.at:%Y-%m-%d %H:%M:%S} UTC  {change.outcome}  {change.change}, by {who}{reason}"
