"""Routes around the API: health, readiness, metrics and a front page."""

from html import escape

import msgspec
from litestar import Response, get
from litestar.enums import MediaType
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from core.db import migrations
from core.deployment.runtime import Runtime
from core.types.scope import ANONYMOUS


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether the process can serve, part by part: `ok` or what is wrong. `status` is `stopping` once it was asked to."""

    status: str
    generation: int
    database: str
    redis: str
    migrations: str


@get("/healthz", include_in_schema=False, sync_to_thread=False)
def healthz() -> Health:
    """The process lives."""
    return Health("ok")


@get("/readyz", include_in_schema=False)
async def readyz(runtime: Runtime) -> Response[Readiness]:
    """Database, Redis and migrations are there."""
    database = moved = redis = "ok"
    try:
        async with runtime.tx(ANONYMOUS) as tx:
            histories = [migrations.CORE, *runtime.histories()]
            if not await migrations.heads_reached(tx, histories):
                moved = "behind: run jishi migrate"
    except Exception as error:  # noqa: BLE001 -- whatever is wrong is the answer
        database = moved = type(error).__name__
    try:
        await runtime.redis.ping()
    except Exception as error:  # noqa: BLE001
        redis = type(error).__name__
    ready = database == redis == moved == "ok" and not runtime.leaving
    status = "stopping" if runtime.leaving else "ok" if ready else "not ready"
    found = Readiness(status, runtime.snapshot.generation, database, redis, moved)
    return Response(found, status_code=200 if ready else 503)


@get("/metrics", include_in_schema=False, sync_to_thread=True)
def prometheus() -> Response[bytes]:
    """Prometheus text format."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@get("/", include_in_schema=False, media_type=MediaType.HTML, sync_to_thread=False)
def front(runtime: Runtime) -> str:
    """A page for people who open the address in a browser."""
    plugins = "".join(
        f"<li><b>{escape(p.title)}</b> <code>{escape(p.name)}</code> {escape(p.version)}<br>{escape(p.summary)}</li>"
        for p in runtime.snapshot.active.values()
        if p.name != "core"
    )
    links = "".join(f'<li><a href="{href}">{escape(text)}</a></li>' for href, text in _LINKS)
    return _PAGE.format(
        links=links, plugins=plugins or "<li>none</li>", generation=runtime.snapshot.generation
    )


_LINKS = (
    ("/api/docs", "API, to try out"),
    ("/api/openapi.json", "API as OpenAPI 3.1"),
    ("/api/shop/products", "Products of the market"),
    ("/api/shop/merchants", "Merchants"),
    ("/readyz", "Readiness"),
    ("/metrics", "Metrics"),
)
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>jishi 集市</title><link rel="icon" href="data:,">
<style>body{{font:16px/1.6 system-ui,"Noto Sans CJK SC",sans-serif;max-width:44rem;margin:3rem auto;
padding:0 1rem;color:#222}}
h1{{font-size:1.8rem}}li{{margin:.3rem 0}}code{{background:#f3f3f3;padding:.1rem .3rem}}a{{color:#a3271b}}</style>
<h1>jishi 集市</h1><p>A market of many independent merchants: one cart, one payment.</p>
<h2>Look around</h2><ul>{links}</ul><h2>Plugins switched on</h2><ul>{plugins}</ul>
<p>Generation {generation}.</p></html>"""

routes = [healthz, readyz, prometheus, front]
