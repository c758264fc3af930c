"""The edge: who may, problem details, limits, live plugins, documentation."""

import httpx
import msgspec
import pytest

from core.deployment.runtime import Runtime
from core.identity import service as identity
from core.identity import tokens
from core.kit.errors import Forbidden
from core.kit.ids import new_id
from core.kit.settings import Settings
from core.types.routing import GUEST, PUBLIC
from core.types.scope import SYSTEM, Audience, Principal
from core.web.edge import Host
from tests.support.market import Session, a_buyer, an_operator, bearer, open_shop, sign_in


async def test_every_error_is_problem_details(client: httpx.AsyncClient, runtime: Runtime) -> None:
    me = bearer(runtime, await a_buyer(runtime))
    cases = [
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("GET", "/api/shop/cart", {}, 401, "unauthorized"),
        ("GET", "/api/shop/cart", {"Authorization": "Bearer x.y"}, 401, "token_invalid"),
        ("GET", "/api/merchant/orders", me, 403, "wrong_audience"),
        ("PATCH", "/api/shop/cart", me, 405, "method_not_allowed"),
        ("GET", "/api/shop/products?limit=x", {}, 422, "invalid"),
        ("GET", "/api/shop/products/nonsense", {}, 404, "not_found"),
    ]
    for method, path, headers, status, code in cases:
        answer = await client.request(method, path, headers=headers)
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["status"]) == (status, code, status), (
            path,
            answer.text,
        )
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(problem) >= {"type", "title", "status", "code", "detail"}


async def test_bad_fields_are_named(client: httpx.AsyncClient, runtime: Runtime) -> None:
    shopper = Session(client, runtime, await a_buyer(runtime))
    answer = await shopper.post("/api/shop/checkout", {"expected_payable": "much"})
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == ["expected_payable"]
    broken = await client.post("/api/shop/quote", content=b"{", headers=bearer(runtime, shopper.me))
    assert broken.status_code in (400, 422)


async def test_a_public_page_stays_public_with_a_token_that_ran_out(client: httpx.AsyncClient) -> None:
    assert (
        await client.get("/api/shop/products", headers={"Authorization": "Bearer stale"})
    ).status_code == 200


async def test_roles_decide_what_staff_may_do(client: httpx.AsyncClient, runtime: Runtime) -> None:
    shop = await open_shop(runtime, "shop")
    clerk = Session(client, runtime, await sign_in(runtime, Audience.MERCHANT, shop, ("finance",)))
    assert (await clerk.get("/api/merchant/ledger")).status_code == 200
    refused = await clerk.post("/api/merchant/products", {"title": "x", "skus": [{"price": 1}]})
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_missing")


async def test_what_staff_write_is_in_the_audit_log(client: httpx.AsyncClient, runtime: Runtime) -> None:
    operator = Session(client, runtime, await an_operator(runtime))
    await operator.post("/api/platform/categories", {"name": "茶"})
    await operator.post("/api/platform/categories", {"name": ""})
    rows = (await operator.get("/api/platform/audit")).json()["items"]
    assert [r["target"] for r in rows] == ["/api/platform/categories"]


async def test_signing_out_ends_the_token_at_once(client: httpx.AsyncClient, runtime: Runtime) -> None:
    shopper = Session(client, runtime, await a_buyer(runtime))
    assert (await shopper.get("/api/shop/cart")).status_code == 200
    assert (await shopper.call("DELETE", "/api/auth/tokens")).status_code == 204
    answer = await shopper.get("/api/shop/cart")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")


async def test_the_edge_holds_no_connection_when_the_answer_is_sent(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    shopper = Session(client, runtime, await a_buyer(runtime))
    for path in ("/api/shop/cart", "/api/shop/orders/none", "/api/shop/products?limit=0"):
        await shopper.get(path)
    assert runtime.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_switching_a_plugin_off_and_on_changes_the_running_app(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    operator = Session(client, runtime, await an_operator(runtime))
    shopper = Session(client, runtime, await a_buyer(runtime))
    assert (await shopper.get("/api/shop/coupons")).status_code == 200
    off = await operator.post("/api/platform/plugins/coupons/disable", {"mode": "now"})
    assert off.status_code == 200, off.text
    assert (await shopper.get("/api/shop/coupons")).status_code == 404
    assert not any("/coupons" in path for path in (await client.get("/api/openapi.json")).json()["paths"])
    await operator.post("/api/platform/plugins/coupons/enable")
    assert (await shopper.get("/api/shop/coupons")).status_code == 200
    assert any("/coupons" in path for path in (await client.get("/api/openapi.json")).json()["paths"])


async def test_a_changed_config_holds_from_the_next_request_and_a_bad_one_changes_nothing(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    operator = Session(client, runtime, await an_operator(runtime))
    found = (await operator.get("/api/platform/plugins/commission/config")).json()
    assert found["config"] == {"rate_bp": 500}
    assert "rate_bp" in str(found["schema"])
    good = await operator.call("PUT", "/api/platform/plugins/commission/config", {"rate_bp": 700})
    assert good.status_code == 200, good.text
    bad = await operator.call("PUT", "/api/platform/plugins/commission/config", {"rate_bp": 99_999})
    assert (bad.status_code, bad.json()["code"]) == (409, "plugin_refused")
    assert "rate_bp" in bad.json()["detail"]
    assert (await operator.get("/api/platform/plugins/commission/config")).json()["config"] == {
        "rate_bp": 700
    }
    assert (await operator.post("/api/platform/plugins/nothing/enable")).status_code == 404


async def test_health_readiness_and_metrics(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    ready = (await client.get("/readyz")).json()
    assert {ready[k] for k in ("status", "database", "redis", "migrations")} == {"ok"}
    await client.get("/api/shop/products")
    text = (await client.get("/metrics")).text
    assert "jishi_requests_total" in text


async def test_documentation_names_no_outside_address(client: httpx.AsyncClient) -> None:
    page = (await client.get("/api/docs")).text
    assert "/static/vendor/swagger-ui-bundle.js" in page
    assert "https://" not in page
    assert (await client.get("/static/vendor/swagger-ui-bundle.js")).status_code == 200
    spec = (await client.get("/api/openapi.json")).json()
    assert spec["openapi"].startswith("3.1")


class TestLimits:
    """Rate limits, counted in Redis."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return msgspec.structs.replace(settings, rate_limits=True)

    async def test_too_many_sign_ins_are_held_back(self, client: httpx.AsyncClient, runtime: Runtime) -> None:
        body = {"provider": "password", "login": "nobody", "password": "wrong-password", "audience": "shop"}
        codes = [(await client.post("/api/auth/tokens", json=body)).status_code for _ in range(12)]
        assert set(codes) == {401, 429}
        held = await client.post("/api/auth/tokens", json=body)
        assert int(held.headers["retry-after"]) > 0

    async def test_without_redis_there_is_service(
        self, client: httpx.AsyncClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await runtime.redis.aclose()
        runtime.redis.connection_pool.connection_kwargs["path"] = "/nowhere/valkey.sock"
        body = {"provider": "password", "login": "nobody", "password": "wrong-password", "audience": "shop"}
        assert (await client.post("/api/auth/tokens", json=body)).status_code == 401


async def test_a_failed_commit_is_an_answer_and_keeps_nothing(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    operator = Session(client, runtime, await an_operator(runtime))
    async with runtime.tx(SYSTEM) as tx:
        before = await tx.fetchval("select count(*) from category")
    await runtime.engine.dispose()
    assert (await operator.post("/api/platform/categories", {"name": "茶"})).status_code == 201
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from category") == before + 1


async def test_a_body_without_end_is_cut_off(client: httpx.AsyncClient, runtime: Runtime) -> None:
    shopper = Session(client, runtime, await a_buyer(runtime))
    for headers in (shopper.headers, shopper.headers | {"Idempotency-Key": "k"}):
        answer = await client.post("/api/shop/quote", headers=headers, content=b" " * (25 * 1024 * 1024))
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_guests_are_admitted_only_where_a_route_says_so(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    given = await identity.open_guest(runtime.tx)
    me = tokens.read(runtime.env.vault, given.access_token, runtime.clock())
    assert me is not None
    guest = Session(client, runtime, me)
    admitted, refused = set(), set()
    for path, methods in (await client.get("/api/openapi.json")).json()["paths"].items():
        where = path.replace("{", "x").replace("}", "x")
        for method in methods if path.startswith("/api/shop/") else ():
            answer = await guest.call(method.upper(), where, {})
            if answer.status_code == 403:
                assert answer.json()["code"] == "sign_in_required"
                refused.add(f"{method} {path[10:]}")
            elif (await client.request(method, where)).status_code == 401:
                admitted.add(f"{method} {path[10:]}")
    assert admitted == {
        "get cart", "put cart/lines/{sku_id}", "post cart/lines/select", "delete cart/invalid", "post quote",
        "post quote/explain", "get me",
        "get addresses", "post addresses", "put addresses/{address_id}", "delete addresses/{address_id}",
        "post visits",
    }  # fmt: skip
    assert {"post checkout", "get orders", "get trades", "post trades/{trade_id}/payments"} <= refused
    for path in ("/api/merchant/orders", "/api/platform/trades"):
        assert (await guest.get(path)).json()["code"] == "wrong_audience"
    body = {"provider": "password", "login": "nobody", "password": "x"}
    assert (await guest.post("/api/auth/tokens", body)).json()["code"] == "wrong_credentials"


async def test_a_public_route_takes_a_guest_for_a_stranger_unless_it_says_otherwise(runtime: Runtime) -> None:
    edge = Host(runtime, httpx.AsyncClient(), runtime.snapshot)
    guest = Principal(new_id(), new_id(), Audience.SHOP, guest=True)
    shop = {"audience": "shop"}
    assert edge.admit(shop | PUBLIC, guest) is None
    assert edge.admit(shop | PUBLIC | GUEST, guest) == guest
    assert edge.admit(shop | GUEST, guest) == guest
    with pytest.raises(Forbidden):
        edge.admit(shop, guest)
