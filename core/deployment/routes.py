"""The operator's switches `/api/platform/plugins`, and how offers combine: `/api/platform/matrix`."""

from typing import Any

from litestar import get, post, put

from core.db.tx import Tx
from core.deployment import history, matrix, removal, service
from core.deployment.preview import preview
from core.deployment.runtime import Runtime
from core.deployment.schemas import (
    Disable,
    Generation,
    MatrixDraft,
    MatrixFaults,
    MatrixOut,
    MatrixPublish,
    MatrixRestore,
    MatrixVersion,
    PluginConfig,
    PluginInfo,
    PluginList,
    Preview,
    PreviewIn,
    Purged,
    Quarantine,
    Undo,
)
from core.kit.paging import DEFAULT_LIMIT, Page
from core.types.routing import OUTSIDE, SYSTEM, permission
from core.types.scope import Principal, system_for

_MANAGE = permission("plugins.manage")
_PRICING = permission("pricing.manage")


@get("/plugins", opt=_MANAGE)
async def list_plugins(tx: Tx, runtime: Runtime) -> PluginList:
    """All installed plugins."""
    return PluginList(await service.plugins(tx, runtime), runtime.snapshot.generation)


@get("/plugins/history", opt=_MANAGE)
async def plugin_history(tx: Tx, limit: int = DEFAULT_LIMIT, cursor: str | None = None) -> Page[Generation]:
    """Every change of plugins and matrix: who, when, what, and with what outcome."""
    return await history.page(tx, limit, cursor)


@post("/plugins/undo", opt=_MANAGE | OUTSIDE, status_code=200)
async def undo_change(me: Principal, runtime: Runtime, data: Undo) -> Generation:
    """Back to the state before the newest generation. 409 `generation_changed` when it is not the expected one,
    `nothing_to_undo`, `pinned`, and `purged` for what is gone for good."""
    return await history.undo(runtime, data.expected_generation, system_for(me))


@post("/plugins/{name:str}/enable", opt=_MANAGE | OUTSIDE, status_code=200)
async def enable_plugin(me: Principal, runtime: Runtime, name: str) -> PluginInfo:
    """Switch a plugin on, in all processes at once. 409 `plugin_refused` says what does not fit, `pinned` that the settings
    decide, `generation_withdrawn` which process cannot run it, `change_under_way` that somebody else is at it."""
    return await service.enable(runtime, name, system_for(me))


@post("/plugins/{name:str}/disable", opt=_MANAGE | OUTSIDE, status_code=200)
async def disable_plugin(
    me: Principal,
    runtime: Runtime,
    name: str,
    data: Disable | None = None,  # noqa: ARG001 -- validated; both modes come to the same
) -> PluginInfo:
    """Switch a plugin off: no new business from now on. Begun business goes on to its end in either mode; `open` says what
    that is."""
    return await service.disable(runtime, name, system_for(me))


@post("/plugins/{name:str}/quarantine", opt=_MANAGE | OUTSIDE, status_code=200)
async def quarantine_plugin(me: Principal, runtime: Runtime, name: str, data: Quarantine) -> PluginInfo:
    """Let nothing of a plugin run any more, neither new nor begun business; `open` says what it owes."""
    return await removal.quarantine(runtime, name, data.reason, system_for(me))


@post("/plugins/{name:str}/release", opt=_MANAGE | OUTSIDE, status_code=200)
async def release_plugin(me: Principal, runtime: Runtime, name: str) -> PluginInfo:
    """Take a plugin out of quarantine, as it was before; what waited for it runs."""
    return await removal.release(runtime, name, system_for(me))


@post("/plugins/{name:str}/purge", opt=_MANAGE | OUTSIDE, status_code=200)
async def purge_plugin(me: Principal, runtime: Runtime, name: str) -> Purged:
    """Remove all tables and rows of a plugin that is off, for good. 409 `plugin_referenced` while it owes anything."""
    return await removal.purge(runtime, name, system_for(me))


@get("/plugins/{name:str}/config", opt=_MANAGE)
async def get_config(tx: Tx, runtime: Runtime, name: str) -> PluginConfig:
    """A plugin's config and its JSON Schema."""
    return await service.config(tx, runtime, name)


@put("/plugins/{name:str}/config", opt=_MANAGE | OUTSIDE)
async def put_config(me: Principal, runtime: Runtime, name: str, data: dict[str, Any]) -> PluginConfig:
    """Replace a plugin's config; the body is the config itself. 409 `plugin_refused` names the field that is wrong."""
    return await service.configure(runtime, name, data, system_for(me))


@get("/matrix", opt=_PRICING)
async def get_matrix(tx: Tx, runtime: Runtime) -> MatrixOut:
    """How kinds of offers combine: the newest version over what the plugins declare."""
    return await matrix.current(tx, runtime)


@put("/matrix", opt=_PRICING | OUTSIDE)
async def put_matrix(me: Principal, runtime: Runtime, data: MatrixPublish) -> MatrixOut:
    """Publish a new version; every price from now on goes by it. 409 `matrix_changed` when somebody else was first, 422
    `matrix_contradicts` with each fault."""
    return await matrix.publish(runtime, data.edits, data.note, data.expected_version, system_for(me))


@get("/matrix/versions", opt=_PRICING)
async def list_matrix_versions(
    tx: Tx, limit: int = DEFAULT_LIMIT, cursor: str | None = None
) -> Page[MatrixVersion]:
    """What was published, newest first."""
    return await matrix.history(tx, limit, cursor)


@get("/matrix/versions/{version:int}", opt=_PRICING)
async def get_matrix_version(tx: Tx, version: int) -> MatrixVersion:
    """One version; 0 has no edits."""
    return await matrix.version(tx, version)


@post("/matrix/versions/{version:int}/restore", opt=_PRICING | OUTSIDE, status_code=200)
async def restore_matrix_version(
    me: Principal, runtime: Runtime, version: int, data: MatrixRestore
) -> MatrixOut:
    """Publish an old version's edits again, as a new version; 0 goes back to what the plugins declare."""
    return await matrix.restore(runtime, version, data.note, data.expected_version, system_for(me))


@post("/matrix/check", opt=_PRICING, status_code=200)
async def check_matrix(tx: Tx, runtime: Runtime, data: MatrixDraft) -> MatrixFaults:
    """What contradicts in these edits; nothing is published. A fault's `field` is a path within the edits."""
    return MatrixFaults(matrix.contradictions(runtime, data.edits, [tx.snapshot.edits]))


@post("/matrix/preview", opt=_PRICING | SYSTEM, status_code=200)
async def preview_matrix(tx: Tx, runtime: Runtime, data: PreviewIn) -> Preview:
    """What a basket comes to now and under these edits; nothing is published."""
    return await preview(tx, runtime, data)


platform_routes = [
    list_plugins,
    plugin_history,
    undo_change,
    enable_plugin,
    disable_plugin,
    quarantine_plugin,
    release_plugin,
    purge_plugin,
    get_config,
    put_config,
    get_matrix,
    put_matrix,
    list_matrix_versions,
    get_matrix_version,
    restore_matrix_version,
    check_matrix,
    preview_matrix,
]
