"""Routes: who may call them, and what becomes of somebody else's ids."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_type_hints
from urllib.parse import quote
from uuid import UUID

import httpx
import msgspec
import sqlalchemy as sa

from core.db.base import Owner
from core.kit.ids import new_id, ref
from core.testkit.contracts import tables as tabling
from core.testkit.contracts.manifest import handlers
from core.testkit.contracts.subject import Subject
from core.testkit.database import Database
from core.testkit.market import Market, Person
from core.types.scope import SYSTEM

_DEPTH = 5


class Foreign(msgspec.Struct, frozen=True):
    """A row of somebody else."""

    table: str
    id: str
    marks: tuple[str, ...]


async def by_audience(subject: Subject) -> list[str]:
    """Staff's routes ask for a permission; buyers', who never have any, do not."""
    found = []
    for audience, handler in handlers(subject.cls):
        where = f"{'/'.join(sorted(handler.http_methods))} /api/{audience}/{subject.name}{min(handler.paths)}"
        asks, public = "permission" in handler.opt, bool(handler.opt.get("public"))
        if audience == "shop" and asks:
            found.append(f"{where} asks buyers for a permission, which they never have.")
        if audience != "shop" and not asks and not public:
            found.append(f"{where} is open to all {audience} staff; give it opt=permission(...) or PUBLIC.")
        if public and not {"GET", "HEAD"}.issuperset(handler.http_methods):
            found.append(f"{where} writes for anybody; a PUBLIC route only reads.")
    return found


async def bodies(subject: Subject) -> list[str]:
    """A misspelt field is refused, not passed over."""
    return lenient(handler for _, handler in handlers(subject.cls))


def lenient(routes: Iterable[Any]) -> list[str]:
    """The structs in declared request bodies, however deep, that take any field. A route for messages of a service outside,
    which may add fields at any time, declares no body; it reads the request."""
    found: set[str] = set()
    for handler in routes:
        if "data" not in inspect.signature(handler.fn).parameters:
            continue
        body = get_type_hints(handler.fn)["data"]
        where = f"{'/'.join(sorted(handler.http_methods))} {min(handler.paths)}"
        found |= {
            f"{kind.__name__} in the body of {where} takes any field; declare it with forbid_unknown_fields=True."
            for kind in _structs(body, set())
            if not kind.__struct_config__.forbid_unknown_fields
        }
    return sorted(found)


def _structs(hint: Any, seen: set[type[msgspec.Struct]]) -> set[type[msgspec.Struct]]:
    """All structs that a type is made of."""
    hint = getattr(hint, "__value__", hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        if hint not in seen:
            seen.add(hint)
            for field in msgspec.structs.fields(hint):
                _structs(field.type, seen)
        return seen
    for part in get_args(hint):
        _structs(part, seen)
    return seen


async def foreign_ids(subject: Subject) -> list[str]:
    """No route shows or changes rows of another merchant or buyer."""
    if not tabling.tables_of(subject) or not handlers(subject.cls):
        return []
    async with subject.market(subject.needed()) as market:
        return await foreign_ids_in(market, tabling.tables_of(subject), subject.name)


async def foreign_ids_in(market: Market, tables: Iterable[sa.Table], under: str | None = None) -> list[str]:
    """Call every route of the shop and merchant audiences (those of the plugin `under`) with ids of rows that belong to
    others, as themselves and in bodies, and look at the rows afterwards."""
    spec = (await market.client.get("/api/openapi.json")).json()
    settings = market.runtime.env.settings
    database = Database(settings.database_url, settings.app_database_url, settings.redis_url)
    owned = [t for t in tables if "access" in t.info]
    stranger, victim = new_id(), new_id()
    rows = {table.name: await _row(database, table, stranger, victim) for table in owned}
    found: list[str] = []
    shop = await market.merchant("contract")
    for audience, person in (("merchant", await market.staff(shop)), ("shop", await market.buyer())):
        theirs = {t.name: rows[t.name] for t in owned if _private(t, audience) and rows[t.name] is not None}
        before = await _contents(market, theirs)
        for path, method, operation in _operations(spec, audience, under):
            found += await _call(person, spec, path, method, operation, theirs)
        after = await _contents(market, theirs)
        found += [
            f"A {audience} route changed another's row in table {name}."
            for name in theirs
            if before[name] != after[name]
        ]
    return found


def _private(table: sa.Table, audience: str) -> bool:
    """Whether its rows are none of a stranger's business in this audience. What a shop shows is the buyers' business."""
    access = table.info["access"]
    if audience == "merchant":
        return access.owner in (Owner.MERCHANT, Owner.BUYER) and not access.public_read
    return access.owner is not Owner.MARKET and "account_id" in table.columns and not access.public_read


async def _row(database: Database, table: sa.Table, merchant_id: UUID, account_id: UUID) -> Foreign | None:
    """A row of these two in a table; None for one without ids of its own."""
    keys = {c.name: new_id() for c in table.primary_key.columns if isinstance(c.type, sa.Uuid)}
    owners = {"merchant_id": merchant_id, "account_id": account_id}
    given = keys | {n: v for n, v in owners.items() if n in table.columns}
    async with tabling.connected(database) as owner:
        await tabling.fill(owner, table.name, **{n: f"'{v}'" for n, v in given.items()})
    own = [given[n] for n in keys if n not in owners]
    if not own:
        return None
    row = own[-1]
    merchants = table.info["access"].owner is Owner.MERCHANT
    return Foreign(
        table.name,
        ref(merchant_id, row) if merchants else ref(row),
        (ref(merchant_id, row), ref(row), str(row)),
    )


async def _contents(market: Market, rows: Mapping[str, Foreign | None]) -> dict[str, list[str]]:
    async with market.runtime.tx(SYSTEM) as tx:
        return {
            name: [r[0] for r in await tx.fetch(f'select t::text from "{name}" t where t::text like $1', f"%{row.marks[-1]}%")]  # noqa: S608, E501
            for name, row in rows.items()
            if row is not None
        }  # fmt: skip


def _operations(
    spec: Mapping[str, Any], audience: str, under: str | None
) -> Iterable[tuple[str, str, dict[str, Any]]]:
    prefix = f"/api/{audience}/{under}" if under is not None else f"/api/{audience}"
    for path, methods in spec["paths"].items():
        if path == prefix or path.startswith(f"{prefix}/"):
            for method, operation in methods.items():
                yield path, method.upper(), operation


async def _call(
    person: Person,
    spec: Mapping[str, Any],
    path: str,
    method: str,
    operation: Mapping[str, Any],
    rows: Mapping[str, Foreign | None],
) -> list[str]:
    names = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"]
    found: list[str] = []
    for row in _fitting(rows, names):
        where = path
        for name in names:
            where = where.replace("{" + name + "}", quote(row.id, safe=""))
        body = _body(operation, spec, row.id)
        answer = await person.call(method, where, body)
        found += _judge(method, path, answer, row, named=bool(names))
    return found


def _fitting(rows: Mapping[str, Foreign | None], names: list[str]) -> list[Foreign]:
    """The rows that a path's parameters may mean by their names; all of them if none fits."""
    there = [r for r in rows.values() if r is not None]
    stems = [n.removesuffix("_id") for n in names]
    fitting = [r for r in there if any(s in r.table or r.table.rstrip("s") in s for s in stems)]
    return fitting or there


def _judge(method: str, path: str, answer: httpx.Response, row: Foreign, *, named: bool) -> list[str]:
    what = f"{method} {path} with another's row of table {row.table}"
    if answer.status_code >= 500:
        return [f"{what} fails with {answer.status_code}: {answer.text[:200]}"]
    if answer.status_code >= 300:
        return []
    if any(mark in answer.text for mark in row.marks):
        return [f"{what} shows it; the answer must be 404."]
    if named and method == "GET":
        return [f"{what} answers {answer.status_code}; the answer must be 404."]
    return []


def _body(operation: Mapping[str, Any], spec: Mapping[str, Any], known: str) -> Any:
    content: Mapping[str, Any] = operation.get("requestBody", {}).get("content", {})
    schema = next((kind.get("schema") for kind in content.values()), None)
    return _value(schema, spec, known) if schema is not None else None


def _value(schema: Mapping[str, Any], spec: Mapping[str, Any], known: str, depth: int = 0) -> Any:
    """The smallest value that a schema takes; strings are the id wherever one fits."""
    if "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "enum" in schema or "const" in schema:
        return schema.get("const", next(iter(schema.get("enum", ())), None))
    for choice in ("oneOf", "anyOf", "allOf"):
        if choice in schema:
            return _value(schema[choice][0], spec, known, depth)
    match schema.get("type"):
        case "object" | None if "properties" in schema and depth < _DEPTH:
            needed = schema.get("required", ())
            return {
                k: _value(v, spec, known, depth + 1)
                for k, v in schema["properties"].items()
                if k in needed or k.endswith("_id")
            }
        case "array":
            return [_value(schema.get("items", {}), spec, known, depth + 1)] * max(
                1, schema.get("minItems", 0)
            )
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "object":
            return {}
        case _:
            return _text(schema, known)


def _text(schema: Mapping[str, Any], known: str) -> str:
    formats = {"date-time": "2030-01-01T00:00:00Z", "date": "2030-01-01", "uuid": str(UUID(int=1))}
    if schema.get("format") in formats:
        return formats[schema["format"]]
    return known if len(known) <= schema.get("maxLength", len(known)) else "x" * schema.get("minLength", 1)
