"""Builds the HTTP application: core's routes and those of the active plugins, and nothing else."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
from litestar import Litestar, Router
from litestar.config.compression import CompressionConfig
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from litestar.middleware.compression import CompressionMiddleware
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.static_files import create_static_files_router
from litestar.types import HTTPScope
from redis.asyncio import Redis

import core.demo
from core.activities import routes as activities
from core.aftersales import routes as aftersales
from core.aftersales import timeline_routes
from core.aftersales.cases import routes as cases
from core.attribution import routes as attribution
from core.cart import routes as cart
from core.catalog import routes as catalog
from core.checkout import routes as checkout
from core.db.tx import Tx, TxFactory
from core.deployment import routes as deployment
from core.deployment.runtime import Runtime
from core.doctor import routes as doctor
from core.events import routes as events
from core.fulfilment import routes as fulfilment
from core.identity import routes as identity
from core.inventory import routes as inventory
from core.ledger import routes as ledger
from core.merchants import routes as merchants
from core.orders import routes as orders
from core.payment import routes as payment
from core.payment import sandbox_routes
from core.plugin import Plugin
from core.types.scope import Principal, Scope
from core.web import around, problems
from core.web.edge import HOST, MAX_BODY, Edge, Host

_DOMAINS = (
    identity,
    merchants,
    catalog,
    inventory,
    activities,
    attribution,
    cart,
    checkout,
    orders,
    payment,
    fulfilment,
    aftersales,
    timeline_routes,
    cases,
    ledger,
    deployment,
    doctor,
    events,
)
_AUDIENCES = ("shop", "merchant", "platform")
_COMPRESSION = CompressionConfig(
    backend="gzip", minimum_size=2048, gzip_compress_level=4, exclude=["/static"]
)
_STATIC = Path(__file__).parent / "static"
_DEMO_STATIC = Path(next(iter(core.demo.__path__))) / "static"


# What is switched off is often switched on again; tests have some more.
@lru_cache(maxsize=4)
def build_app(plugins: tuple[type[Plugin], ...], sandbox: bool) -> Litestar:
    """The application with the routes of these plugins, and of the sandbox payment service. It holds nothing of a process
    or a generation: each request brings its `Host`."""
    public = [h for domain in _DOMAINS for h in getattr(domain, "public_routes", ())]
    if sandbox:
        public += sandbox_routes.public_routes
    return Litestar(
        route_handlers=[
            Router("/api", route_handlers=public, opt={"api": True}, tags=["everybody"]),
            *(_audience(name, plugins) for name in _AUDIENCES),
            *around.routes,
            create_static_files_router(
                "/static/vendor", [_STATIC / "vendor"], name="vendor", include_in_schema=False
            ),
            create_static_files_router("/static/demo", [_DEMO_STATIC], name="demo", include_in_schema=False),
        ],
        # Outermost first: answers are compressed after the edge has kept them for an idempotency key.
        middleware=[
            DefineMiddleware(CompressionMiddleware, config=_COMPRESSION),
            DefineMiddleware(Edge),
        ],
        exception_handlers={Exception: problems.handle},
        dependencies=_dependencies(),
        openapi_config=_openapi(plugins),
        request_max_body_size=MAX_BODY,
        logging_config=None,
        debug=False,
    )


def _audience(name: str, plugins: Iterable[type[Plugin]]) -> Router:
    handlers: list[Any] = [h for domain in _DOMAINS for h in getattr(domain, f"{name}_routes", ())]
    for plugin in plugins:
        own: Sequence[Any] = getattr(plugin, f"{name}_routes")
        if own:
            handlers.append(Router(f"/{plugin.name}", route_handlers=own, tags=[plugin.name]))
    return Router(
        f"/api/{name}", route_handlers=handlers, opt={"audience": name}, security=[{"token": []}], tags=[name]
    )


def _dependencies() -> dict[str, Provide]:
    def host(scope: HTTPScope) -> Host:
        return scope[HOST]  # type: ignore[literal-required, no-any-return]

    def tx(scope: HTTPScope) -> Tx:
        return scope["state"]["tx"]  # type: ignore[no-any-return]

    # Depending on `tx` makes these wait for it in turn; side by side, Litestar would open a task group for each request.
    def me(scope: HTTPScope, tx: Tx) -> Principal:  # noqa: ARG001
        return scope["state"]["me"]  # type: ignore[no-any-return]

    def viewer(scope: HTTPScope, tx: Tx) -> Principal | None:  # noqa: ARG001
        return scope["state"]["me"]  # type: ignore[no-any-return]

    def new_tx(scope: HTTPScope) -> TxFactory:
        found = host(scope)

        def begin(scope: Scope) -> Tx:
            return found.runtime.tx(scope, found.snapshot)

        return begin

    def redis(scope: HTTPScope) -> Redis:
        return host(scope).runtime.redis

    def http(scope: HTTPScope) -> httpx.AsyncClient:
        return host(scope).http

    def runtime(scope: HTTPScope) -> Runtime:
        return host(scope).runtime

    named: dict[str, Callable[..., Any]] = {
        "tx": tx,
        "me": me,
        "viewer": viewer,
        "new_tx": new_tx,
        "redis": redis,
        "http": http,
        "runtime": runtime,
    }
    return {name: Provide(function, sync_to_thread=False) for name, function in named.items()}


def _openapi(plugins: Iterable[type[Plugin]]) -> OpenAPIConfig:
    listed = (f"{p.title} ({p.name} {p.version})" for p in plugins if p.name != "core")
    return OpenAPIConfig(
        title="jishi",
        version="0.1.0",
        description="Plugins switched on: " + (", ".join(listed) or "none") + ".",
        path="/api",
        render_plugins=[
            JsonRenderPlugin(path="/openapi.json"),
            SwaggerRenderPlugin(
                path="/docs",
                js_url="/static/vendor/swagger-ui-bundle.js",
                css_url="/static/vendor/swagger-ui.css",
                standalone_preset_js_url="/static/vendor/swagger-ui-standalone-preset.js",
                favicon="<link rel='icon' href='data:,'>",
            ),
        ],
        components=Components(security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}),
        use_handler_docstrings=True,
    )
