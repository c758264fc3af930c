"""The operator's switches: `/api/platform/plugins`."""

from typing import Any

from litestar import get, post, put

from core.db.tx import Tx
from core.deployment import service
from core.deployment.runtime import Runtime
from core.deployment.schemas import Disable, PluginConfig, PluginInfo, PluginList
from core.types.routing import permission
from core.types.scope import Principal

_MANAGE = permission("plugins.manage")


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


platform_routes = [list_plugins, enable_plugin, disable_plugin, get_config, put_config]
