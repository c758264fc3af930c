"""The stacking matrix over HTTP: edited by those who may, previewed on real baskets, live at checkout."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

import host
from core.deployment import service
from core.deployment.runtime import Runtime
from core.kit.ids import MARKET_ID, new_id, ref
from core.kit.settings import Env
from core.plugin import discover
from core.types.scope import SYSTEM, Audience
from tests.core.deployment.deployment_plugins import Offers
from tests.support.coupons import claim, issue
from tests.support.market import Session, a_buyer, add_product, an_operator, open_shop, sign_in

STACKED = {"pairs": [{"a": "offers.club", "b": "offers.sale", "relation": "stack"}]}
SELF_BLOCK = {"pairs": [{"a": "offers.sale", "b": "offers.sale", "relation": "block"}]}
PATH = "/api/platform/matrix"
REGION = {"province": "重庆市", "city": "重庆市", "district": "渝中区"}


@pytest.fixture
async def runtime(env: Env) -> AsyncIterator[Runtime]:
    """The built-in plugins and the probe's offers."""
    runtime = host.make_runtime(env, {**discover(), "offers": Offers})
    await runtime.open()
    await runtime.redis.flushdb()
    await service.enable(runtime, "offers")
    yield runtime
    await runtime.close()


@pytest.fixture
async def operator(client: httpx.AsyncClient, runtime: Runtime) -> Session:
    return Session(client, runtime, await an_operator(runtime))


@pytest.fixture
async def shopper(client: httpx.AsyncClient, runtime: Runtime) -> Session:
    return Session(client, runtime, await a_buyer(runtime))


@pytest.fixture
async def sku(runtime: Runtime) -> str:
    return await add_product(runtime, await open_shop(runtime, "shop"), price=10_000)


async def put(who: Session, edits: Any, expected: int, note: str = "why") -> httpx.Response:
    return await who.call("PUT", PATH, {"expected_version": expected, "note": note, "edits": edits})


def body(sku: str, edits: Any, **more: Any) -> dict[str, Any]:
    return {"edits": edits, "lines": [{"sku_id": sku, "quantity": 1}], **more}


async def test_the_matrix_is_read_published_and_restored(operator: Session, runtime: Runtime) -> None:
    found = (await operator.get(PATH)).json()
    assert (found["version"], found["by"], found["at"], found["edits"]) == (
        0, None, None, {"kinds": [], "pairs": []},
    )  # fmt: skip
    kinds = {k["name"]: k for k in found["kinds"]}
    assert kinds["offers.freight"] == {
        "name": "offers.freight",
        "plugin": "offers",
        "title": "freight",
        "phase": "shipping_discount",
        "priority": 0,
        "group": "",
        "per_shop": 1,
        "per_trade": None,
        "per_line": False,
        "edited": False,
        "enabled": True,
    }
    assert kinds.keys() >= {"coupons.shop", "coupons.market"}
    pair = {"a": "offers.club", "b": "offers.sale", "relation": "best", "edited": False}
    assert pair in found["pairs"]

    edits = STACKED | {"kinds": [{"name": "offers.more", "per_trade": None, "priority": 3}]}
    done = await put(operator, edits, 0)
    assert done.status_code == 200, done.text
    assert done.json()["edits"] == {
        "kinds": [{"name": "offers.more", "priority": 3, "per_trade": None}],
        "pairs": STACKED["pairs"],
    }
    assert (await operator.get(PATH)).json() == done.json()
    assert done.json()["by"]["id"] == ref(operator.me.account_id)
    assert pair | {"relation": "stack", "edited": True} in done.json()["pairs"]

    late = await put(operator, {}, 0)
    assert (late.status_code, late.json()["code"], late.json()["version"]) == (409, "matrix_changed", 1)

    back = await operator.post(f"{PATH}/versions/0/restore", {"expected_version": 1, "note": "too much"})
    assert (back.status_code, back.json()["version"]) == (200, 2)
    versions = (await operator.get(f"{PATH}/versions?limit=1")).json()
    assert [(v["version"], v["note"]) for v in versions["items"]] == [(2, "too much")]
    more = (await operator.get(f"{PATH}/versions?cursor={versions['next_cursor']}")).json()
    assert [v["version"] for v in more["items"]] == [1]
    assert (await operator.get(f"{PATH}/versions/1")).json() == more["items"][0]
    assert (await operator.get(f"{PATH}/versions/9")).status_code == 404
    async with runtime.tx(SYSTEM) as tx:
        actions = await tx.fetch("select action from audit order by id")
    assert [a["action"] for a in actions] == ["PUT put_matrix", "POST restore_matrix_version"]


async def test_contradictions_are_told_field_by_field(operator: Session) -> None:
    refused = await put(operator, SELF_BLOCK, 0)
    assert (refused.status_code, refused.json()["code"]) == (422, "matrix_contradicts")
    [error] = refused.json()["errors"]
    assert (error["field"], error["code"]) == ("edits.pairs[0].relation", "no_order")
    checked = await operator.post(f"{PATH}/check", {"edits": SELF_BLOCK})
    assert checked.status_code == 200
    assert checked.json() == {
        "faults": [error | {"field": "pairs[0].relation", "kinds": ["offers.sale", "offers.sale"]}]
    }
    assert (await operator.post(f"{PATH}/check", {"edits": STACKED})).json() == {"faults": []}
    assert (await operator.get(PATH)).json()["version"] == 0


@pytest.mark.parametrize(
    "edits",
    [
        None,
        [],
        {"kind": []},
        {"kinds": [{"name": "offers.sale", "priorty": 1}]},
        {"kinds": [{"name": "offers.sale", "phase": "never"}]},
        {"kinds": [{"name": "offers.sale", "per_shop": 10**20}]},
        {"kinds": [{"name": "offers.sale", "group": "a\x00b"}]},
        {"kinds": [{"name": "x"}] * 600},
        {"pairs": [{"a": "offers.sale", "b": "offers.club", "relation": "maybe"}]},
        {"pairs": [{"a": "\x00", "b": "offers.club", "relation": "best"}]},
    ],
)
async def test_rubbish_is_refused(operator: Session, sku: str, edits: Any) -> None:
    for answer in (
        await put(operator, edits, 0),
        await operator.post(f"{PATH}/preview", body(sku, edits)),
    ):
        assert answer.status_code == 422, answer.text
        assert answer.json()["code"] in ("invalid", "matrix_contradicts")
    assert (await put(operator, {}, -1)).status_code == 422
    assert (await put(operator, {}, 0, "\x00")).status_code == 422
    assert (await put(operator, {}, 0, "x" * 501)).status_code == 422
    assert (await operator.get(PATH)).json()["version"] == 0


ROUTES = [
    ("GET", PATH, None),
    ("PUT", PATH, {"expected_version": 0, "edits": {}}),
    ("GET", f"{PATH}/versions", None),
    ("GET", f"{PATH}/versions/0", None),
    ("POST", f"{PATH}/versions/0/restore", {"expected_version": 0}),
    ("POST", f"{PATH}/check", {"edits": {}}),
    ("POST", f"{PATH}/preview", {"edits": {}, "lines": [{"sku_id": "x", "quantity": 1}]}),
]


@pytest.mark.parametrize(("method", "path", "sent"), ROUTES, ids=[f"{m} {p}" for m, p, _ in ROUTES])
async def test_only_those_who_may_edit_the_matrix_get_in(
    client: httpx.AsyncClient, runtime: Runtime, shopper: Session, method: str, path: str, sent: Any
) -> None:
    reviewer = await sign_in(runtime, Audience.PLATFORM, MARKET_ID, ("reviewer",))
    refused = await Session(client, runtime, reviewer).call(method, path, sent)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_missing")
    assert "pricing.manage" in refused.json()["detail"]
    assert (await shopper.call(method, path, sent)).json()["code"] == "wrong_audience"
    assert (await client.request(method, path, json=sent)).status_code == 401


async def test_checkout_goes_by_the_new_matrix_at_once(operator: Session, shopper: Session, sku: str) -> None:
    wanted = {"lines": [{"sku_id": sku, "quantity": 1}]}
    seen = (await shopper.post("/api/shop/quote", wanted)).json()
    assert seen["discount_amount"] == 350
    assert (await put(operator, STACKED, 0)).status_code == 200
    moved = await shopper.post("/api/shop/checkout", wanted | {"expected_payable": seen["payable"]})
    assert (moved.status_code, moved.json()["code"]) == (409, "price_changed")
    assert moved.json()["quote"]["discount_amount"] == 450
    payable = moved.json()["quote"]["payable"]
    trade = await shopper.post("/api/shop/checkout", wanted | {"expected_payable": payable})
    assert trade.status_code == 201, trade.text
    assert trade.json()["orders"][0]["discount_amount"] == 450
    assert (await put(operator, {}, 1)).status_code == 200
    again = (await shopper.get(f"/api/shop/trades/{trade.json()['id']}")).json()
    assert again["payable"] == payable, "a placed order is never priced again"


async def test_a_preview_says_what_a_basket_would_come_to(
    operator: Session, runtime: Runtime, sku: str
) -> None:
    before = await _rows(runtime)
    answer = await operator.post(f"{PATH}/preview", body(sku, STACKED, region=REGION))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["now"]["discount_amount"], found["draft"]["discount_amount"]) == (350, 450)
    assert found["difference"] == -100
    assert found["draft"]["payable"] - found["now"]["payable"] == -100
    assert found["draft"]["problems"] == []
    assert found["changed"] == [
        {
            "plugin": "offers",
            "rule": "sale",
            "kind": "offers.sale",
            "label": "Sale",
            "before": "beaten",
            "after": "applied",
            "amount_before": 100,
            "amount_after": 100,
        }
    ]
    assert await _rows(runtime) == before
    same = (await operator.post(f"{PATH}/preview", body(sku, {}))).json()
    assert (same["difference"], same["changed"], same["now"]) == (0, [], same["draft"])


async def _rows(runtime: Runtime) -> dict[str, int]:
    """Rows of all tables but those in which the edge notes every request of staff."""
    async with runtime.tx(SYSTEM) as tx:
        tables = await tx.fetch("select tablename from pg_tables where schemaname = 'public'")
        return {
            t["tablename"]: await tx.fetchval(f'select count(*) from "{t["tablename"]}"')
            for t in tables
            if t["tablename"] not in ("audit", "idempotency") and not t["tablename"].startswith("alembic")
        }


async def test_a_preview_prices_as_the_buyers_own_quote_does(
    operator: Session, shopper: Session, runtime: Runtime, sku: str
) -> None:
    me = shopper.me.account_id
    for amount in (500, 800):
        await claim(runtime, me, await issue(runtime, amount=amount))
    own = (await shopper.post("/api/shop/quote", {"lines": [{"sku_id": sku, "quantity": 1}]})).json()
    assert own["discount_amount"] == 350 + 800
    both = {
        "kinds": [{"name": "coupons.market", "per_trade": None, "per_shop": None}],
        "pairs": [{"a": "coupons.market", "b": "coupons.market", "relation": "stack"}],
    }
    for account in (ref(me), str(me), str(me).upper()):
        found = (await operator.post(f"{PATH}/preview", body(sku, both, account=account))).json()
        assert found["now"] == own
        assert found["difference"] == -500
        assert [(c["before"], c["after"]) for c in found["changed"]] == [("beaten", "applied")]
    nobodys = (await operator.post(f"{PATH}/preview", body(sku, both))).json()
    assert nobodys["now"]["discount_amount"] == nobodys["draft"]["discount_amount"] == 350


async def test_a_preview_for_what_is_not_there_is_refused(operator: Session, sku: str) -> None:
    for account in ("nobody", ref(new_id()), "\x00", "é"):
        answer = await operator.post(f"{PATH}/preview", body(sku, {}, account=account))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await operator.post(f"{PATH}/preview", body("x", {}))).status_code == 404
    gone = (await operator.post(f"{PATH}/preview", body(ref(new_id(), new_id()), {}))).json()
    assert [p["code"] for p in gone["now"]["problems"]] == ["gone"]
