"""Every route with rubbish: an answer with a reason each time, never a failure of ours."""

from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from core.deployment.runtime import Runtime
from core.kit.ids import new_id, ref
from core.types.scope import Audience
from tests.support.market import Session, a_buyer, an_operator, open_shop, sign_in

IDS = [
    "x",
    "\x00",
    "é" * 40,
    "A" * 22,
    "A" * 43,
    ref(new_id()),
    ref(new_id(), new_id()),
    "'; drop table orders; --",
]
VALUES: list[Any] = [
    None,
    "",
    "x",
    "\x00",
    "é" * 3000,
    -1,
    0,
    10**20,
    1.5,
    True,
    [],
    {},
    [None],
    {"a": 1},
    ["x"] * 300,
    "NaN",
]


def _fill(schema: dict[str, Any], spec: dict[str, Any], value: Any, depth: int = 0) -> Any:
    """A body of the right shape in which every leaf is `value`."""
    if "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            schema = schema[choice][0]
    if depth < 4 and "properties" in schema:
        return {k: _fill(v, spec, value, depth + 1) for k, v in schema["properties"].items()}
    if depth < 4 and schema.get("type") == "array":
        return [_fill(schema.get("items", {}), spec, value, depth + 1)]
    return value


async def test_no_route_breaks(client: httpx.AsyncClient, runtime: Runtime) -> None:
    spec = (await client.get("/api/openapi.json")).json()
    shop = await open_shop(runtime, "shop")
    people = {
        "shop": Session(client, runtime, await a_buyer(runtime)),
        "merchant": Session(client, runtime, await sign_in(runtime, Audience.MERCHANT, shop)),
        "platform": Session(client, runtime, await an_operator(runtime)),
    }
    broken: list[str] = []
    tried = 0
    for path, methods in spec["paths"].items():
        who = people.get(path.split("/")[2], people["shop"])
        for method, operation in methods.items():
            for where, params, body in _attempts(path, operation, spec):
                if path == "/api/auth/tokens" and method == "delete":
                    continue
                headers = who.headers | ({"Idempotency-Key": ref(new_id())} if method == "post" else {})
                answer = await client.request(
                    method.upper(), where, params=params, headers=headers, content=body
                )
                tried += 1
                if answer.status_code >= 500:
                    broken.append(f"{method.upper()} {where} {params} {str(body)[:200]}: {answer.text[:200]}")
    assert not broken, "\n".join(broken[:20])
    assert tried > 1000


async def test_a_body_without_bottom_is_refused(client: httpx.AsyncClient, runtime: Runtime) -> None:
    buyer = Session(client, runtime, await a_buyer(runtime))
    deep = b'{"lines": [], "options": {"x": ' + b"[" * 5000 + b"]" * 5000 + b"}}"
    answer = await client.post("/api/shop/quote", headers=buyer.headers, content=deep)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def _attempts(
    path: str, operation: dict[str, Any], spec: dict[str, Any]
) -> list[tuple[str, dict[str, Any], bytes | None]]:
    content = operation.get("requestBody", {}).get("content", {})
    schema = next(iter(content.values()), {}).get("schema")
    names = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"]
    in_path = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"]
    found: list[tuple[str, dict[str, Any], bytes | None]] = []
    for n, value in enumerate(VALUES):
        where = path
        for name in in_path:
            where = where.replace("{" + name + "}", quote(IDS[n % len(IDS)], safe=""))
        body = msgspec.json.encode(_fill(schema, spec, value)) if schema is not None else None
        found.append((where, {name: str(value)[:500] for name in names}, body))
        if schema is not None:
            found.append((where, {}, msgspec.json.encode(value)))
    return found
