"""The operator's switches `/api/platform/plugins`, and how offers combine: `/api/platform/matrix`."""

from typing import Any

from litestar import get, post, put

from core.db.tx import Tx
from core.deployment import matrix, service
from core.deployment.preview import preview
from core.deployment.runtime import Runtime
from core.deployment.schemas import (
    Disable,
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
)
from core.kit.paging import DEFAULT_LIMIT, Page
from core.types.routing import SYSTEM, permission
from core.types.scope import Principal

_MANAGE = permission("plugins.manage")
_PRICING = permission("pricing.manage")


@get("/plugins", opt=_MANAGE)
async def list_plugins(tx: Tx, runtime: Runtime) -> PluginList:
    """All installed plugins."""
    return PluginList(await service.plugins(tx, runtime), runtime.snapshot.generation)


@post("/plugins/{name:str}/enable", opt=_MANAGE, status_code=200)
async def enable_plugin(tx: Tx, me: Principal, runtime: Runtime, name: str) -> PluginInfo:
    """Switch a plugin on. 409 `plugin_refused` says what does not fit, `pinned` that the settings decide."""
    return await service.enable(tx, runtime, name, me.account_id)


@post("/plugins/{name:str}/disable", opt=_MANAGE, status_code=200)
async def disable_plugin(
    tx: Tx,
    me: Principal,
    runtime: Runtime,
    name: str,
    data: Disable | None = None,  # noqa: ARG001 -- validated; both modes come to the same
) -> PluginInfo:
    """Switch a plugin off: no new business from now on. Begun business goes on to its end in either mode."""
    return await service.disable(tx, runtime, name, me.account_id)


@get("/plugins/{name:str}/config", opt=_MANAGE)
async def get_config(tx: Tx, runtime: Runtime, name: str) -> PluginConfig:
    """A plugin's config and its JSON Schema."""
    return await service.config(tx, runtime, name)


@put("/plugins/{name:str}/config", opt=_MANAGE)
async def put_config(
    tx: Tx, me: Principal, runtime: Runtime, name: str, data: dict[str, Any]
) -> PluginConfig:
    """Replace a plugin's config; the body is the config itself. 409 `plugin_refused` names the field that is wrong."""
    return await service.configure(tx, runtime, name, data, me.account_id)


@get("/matrix", opt=_PRICING)
async def get_matrix(tx: Tx, runtime: Runtime) -> MatrixOut:
    """How kinds of offers combine: the newest version over what the plugins declare."""
    return await matrix.current(tx, runtime)


@put("/matrix", opt=_PRICING)
async def put_matrix(tx: Tx, me: Principal, runtime: Runtime, data: MatrixPublish) -> MatrixOut:
    """Publish a new version; every price from now on goes by it. 409 `matrix_changed` when somebody else was first, 422
    `matrix_contradicts` with each fault."""
    return await matrix.publish(tx, runtime, data.edits, data.note, data.expected_version, me.account_id)


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


@post("/matrix/versions/{version:int}/restore", opt=_PRICING, status_code=200)
async def restore_matrix_version(
    tx: Tx, me: Principal, runtime: Runtime, version: int, data: MatrixRestore
) -> MatrixOut:
    """Publish an old version's edits again, as a new version; 0 goes back to what the plugins declare."""
    return await matrix.restore(tx, runtime, version, data.note, data.expected_version, me.account_id)


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
    enable_plugin,
    disable_plugin,
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
