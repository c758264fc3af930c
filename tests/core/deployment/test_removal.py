"""Quarantine stops all of a plugin and loses nothing it owes; purge removes what nothing refers to."""

from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from core.deployment import removal, service
from core.deployment.runtime import Runtime
from core.kit.errors import Conflict, NotFound
from core.types.scope import SYSTEM, Audience
from core.worker import inline
from tests.core.deployment.deployment_plugins import Make
from tests.support.coupons import claim, issue
from tests.support.market import Session, a_buyer, add_product, an_operator, open_shop, sign_in

PLUGINS = "/api/platform/plugins"


class Town:
    """A shop, its staff, an operator, and a buyer who holds a coupon."""

    def __init__(self, runtime: Runtime, client: httpx.AsyncClient) -> None:
        self.runtime, self.client = runtime, client

    async def open(self) -> None:
        shop = await open_shop(self.runtime, "shop")
        self.sku = await add_product(self.runtime, shop, price=10_000)
        self.buyer = Session(self.client, self.runtime, await a_buyer(self.runtime))
        self.operator = Session(self.client, self.runtime, await an_operator(self.runtime))
        self.staff = Session(self.client, self.runtime, await sign_in(self.runtime, Audience.MERCHANT, shop))
        self.coupon = await claim(
            self.runtime, self.buyer.me.account_id, await issue(self.runtime, amount=500)
        )

    async def buy(self) -> Any:
        """A trade that uses the coupon."""
        wanted = {"lines": [{"sku_id": self.sku, "quantity": 1}]}
        quote = (await self.buyer.post("/api/shop/quote", wanted)).json()
        assert quote["discount_amount"] == 500
        made = await self.buyer.post("/api/shop/checkout", wanted | {"expected_payable": quote["payable"]})
        assert made.status_code == 201, made.text
        return made.json()

    async def pay(self, trade: Any) -> None:
        at = f"/api/shop/trades/{trade['id']}/payments"
        payment = (await self.buyer.post(at, {"provider": "sandbox"})).json()
        assert (await self.client.post(payment["client"]["pay_url"])).status_code == 200

    async def row(self, sql: str) -> Any:
        async with self.runtime.tx(SYSTEM) as tx:
            found = await tx.fetchrow(sql)
        return None if found is None else tuple(found)

    async def plugin(self, name: str = "coupons") -> Any:
        items = (await self.operator.get(PLUGINS)).json()["items"]
        return next(i for i in items if i["name"] == name)


@pytest.fixture
async def town(runtime: Runtime, client: httpx.AsyncClient) -> Town:
    town = Town(runtime, client)
    await town.open()
    return town


async def test_a_plugin_that_winds_down_says_what_it_owes(town: Town) -> None:
    await town.buy()
    off = await town.operator.post(f"{PLUGINS}/coupons/disable")
    assert off.status_code == 200, off.text
    assert off.json()["open"]["used coupons"] == 1, off.text
    assert (await town.plugin())["open"] == off.json()["open"]
    assert (await town.plugin("commission"))["open"] is None, "what is on owes nothing yet"
    kept = await town.operator.post(f"{PLUGINS}/coupons/purge")
    assert (kept.status_code, kept.json()["code"]) == (409, "plugin_referenced")
    assert kept.json()["open"]["used coupons"] == 1


async def test_quarantine_parks_what_is_due_and_release_runs_it(town: Town) -> None:
    await town.pay(await town.buy())
    done = await town.operator.post(f"{PLUGINS}/coupons/quarantine", {"reason": "counts wrongly"})
    assert done.status_code == 200, done.text
    found = done.json()
    assert (found["enabled"], found["winding_down"], found["quarantine"]) == (True, False, "counts wrongly")
    assert found["open"]["deliveries"] == 1
    assert "coupons" not in town.runtime.snapshot.installed
    assert (await town.buyer.get("/api/shop/coupons")).status_code == 404
    await inline.drain(town.runtime)
    waiting = "select status, error from delivery where plugin = 'coupons'"
    assert await town.row(waiting) == ("parked", "quarantine: counts wrongly")
    free = await town.operator.post(f"{PLUGINS}/coupons/release")
    assert (free.json()["enabled"], free.json()["quarantine"]) == (True, None)
    await inline.drain(town.runtime)
    assert await town.row(waiting) == ("done", None)
    assert (await town.buyer.get("/api/shop/coupons")).status_code == 200


async def test_a_refund_waits_for_a_quarantined_plugin(town: Town) -> None:
    trade = await town.buy()
    await town.pay(trade)
    await inline.drain(town.runtime)
    order = trade["orders"][0]["id"]
    at = f"/api/merchant/orders/{order}/refunds"
    asked = await town.staff.post(at, {"reason": "sold out"})
    assert asked.status_code == 201, asked.text
    await removal.quarantine(town.runtime, "coupons", "counts wrongly")
    await inline.drain(town.runtime)
    assert await town.row("select status, unsettled from refund") == ("done", ["coupons"])
    assert await town.row("select plugin, reason from order_hold") == (
        "coupons",
        "A refund is not settled: the plugin is not there",
    )
    used = "select status from coupons_coupon"
    assert await town.row(used) == ("used",)
    await removal.release(town.runtime, "coupons")
    await inline.drain(town.runtime, until=town.runtime.clock() + timedelta(minutes=30))
    assert await town.row("select unsettled from refund") == ([],)
    assert await town.row("select plugin from order_hold") is None
    assert await town.row(used) == ("unused",), "the buyer has the coupon back"


async def test_a_plugin_comes_back_from_quarantine_winding_down_as_it_was(make: Make) -> None:
    runtime = await make()
    await service.disable(runtime, "base")
    assert (await removal.quarantine(runtime, "base", "why")).quarantine == "why"
    assert not runtime.snapshot.installed
    found = await removal.release(runtime, "base")
    assert (found.enabled, found.winding_down, found.quarantine) == (False, True, None)
    assert list(runtime.snapshot.installed) == ["base"]


async def test_quarantine_is_refused_while_others_require_the_plugin_or_settings_pin_it(make: Make) -> None:
    runtime = await make()
    await service.enable(runtime, "above")
    with pytest.raises(Conflict, match="above requires base"):
        await removal.quarantine(runtime, "base", "why")
    with pytest.raises(Conflict) as refused:
        await removal.quarantine(await make(pins={"above": True}), "above", "why")
    assert refused.value.code == "pinned"
    with pytest.raises(Conflict, match="never switched on"):
        await removal.quarantine(runtime, "offers", "why")
    with pytest.raises(NotFound):
        await removal.quarantine(runtime, "nobody", "why")


async def test_purge_removes_all_and_enabling_again_begins_anew(town: Town, owner: str) -> None:
    refused = await town.operator.post(f"{PLUGINS}/coupons/purge")
    assert (refused.status_code, refused.json()["code"]) == (409, "plugin_refused"), "it is on"
    await service.disable(town.runtime, "coupons")
    gone = await town.operator.post(f"{PLUGINS}/coupons/purge")
    assert gone.status_code == 200, gone.text
    assert "coupons_coupon" in gone.json()["tables"]
    connection = await asyncpg.connect(owner)
    left = "select count(*) from pg_tables where tablename like 'coupons%' or tablename = 'alembic_coupons'"
    try:
        assert await connection.fetchval(left) == 0
        assert await town.row("select from deployment_plugin where name = 'coupons'") is None
        assert (await town.plugin())["winding_down"] is False
        await service.enable(town.runtime, "coupons")
        assert await connection.fetchval(left) > 1
    finally:
        await connection.close()
    assert (await town.buyer.get("/api/shop/coupons")).json()["items"] == []


async def test_a_purge_cannot_be_undone_and_says_how_to_go_on(town: Town) -> None:
    await service.disable(town.runtime, "coupons")
    assert (await town.operator.post(f"{PLUGINS}/coupons/purge")).status_code == 200
    newest = {"expected_generation": town.runtime.snapshot.generation}
    refused = await town.operator.post(f"{PLUGINS}/undo", newest)
    assert (refused.status_code, refused.json()["code"]) == (409, "purged")
    assert "Enable coupons to begin anew" in refused.json()["detail"]
    assert town.runtime.snapshot.generation == newest["expected_generation"], "nothing was changed"
    assert await town.row("select to_regclass('coupons_coupon')") == (None,)
    assert (await town.operator.post(f"{PLUGINS}/coupons/enable")).status_code == 200
    assert (await town.buyer.get("/api/shop/coupons")).json()["items"] == []
    back = await town.operator.post(
        f"{PLUGINS}/undo", {"expected_generation": town.runtime.snapshot.generation}
    )
    assert back.status_code == 200, back.text
    assert (await town.plugin())["winding_down"] is True


async def test_undoing_the_first_enabling_lets_begun_business_end(town: Town) -> None:
    await service.disable(town.runtime, "coupons")
    await removal.purge(town.runtime, "coupons")
    await service.enable(town.runtime, "coupons")
    begun = town.runtime.snapshot.generation
    buyer = town.buyer.me.account_id
    town.coupon = await claim(town.runtime, buyer, await issue(town.runtime, amount=500))
    trade = await town.buy()
    undone = await town.operator.post(f"{PLUGINS}/undo", {"expected_generation": begun})
    assert undone.status_code == 200, undone.text
    found = await town.plugin()
    assert (found["enabled"], found["winding_down"], found["open"]["used coupons"]) == (False, True, 1)
    closed = await town.buyer.post(f"/api/shop/trades/{trade['id']}/close")
    assert closed.status_code == 200, closed.text
    assert await town.row("select status from coupons_coupon") == ("unused",), "the buyer has it back"
    again = await town.operator.post(
        f"{PLUGINS}/undo", {"expected_generation": town.runtime.snapshot.generation}
    )
    assert again.status_code == 200, again.text
    assert len((await town.buyer.get("/api/shop/coupons")).json()["items"]) == 1, "and all comes back"


async def test_a_plugin_whose_code_is_gone_can_be_purged(town: Town, make: Make, owner: str) -> None:
    connection = await asyncpg.connect(owner)
    await connection.execute(
        """begin; set local jishi.scope = 'system';
         insert into deployment_plugin (name, enabled, tables, updated_at)
        values ('lost', true, '{lost_thing}', now()); commit;
        create table lost_thing (id int); create table alembic_lost (version_num text)"""
    )
    found = await removal.purge(await make(), "lost")
    assert found.tables == ("lost_thing",)
    assert await connection.fetchval("select to_regclass('lost_thing')") is None
    assert await connection.fetchval("select to_regclass('alembic_lost')") is None
    await connection.close()
    with pytest.raises(NotFound):
        await removal.purge(town.runtime, "lost")


async def test_the_history_tells_who_what_and_why_not(town: Town) -> None:
    await town.operator.post(f"{PLUGINS}/coupons/disable")
    undone = await town.operator.post(
        f"{PLUGINS}/undo", {"expected_generation": town.runtime.snapshot.generation}
    )
    assert undone.status_code == 200, undone.text
    page = (await town.operator.get(f"{PLUGINS}/history?limit=2")).json()
    assert [(g["change"], g["outcome"]) for g in page["items"]] == [
        (undone.json()["change"], "active"),
        ("disable coupons", "active"),
    ]
    assert page["items"][0]["by"]["id"] == undone.json()["by"]["id"]
    again = await town.operator.post(f"{PLUGINS}/undo", {"expected_generation": 1})
    assert (again.status_code, again.json()["code"]) == (409, "generation_changed")
    assert (await town.buyer.get("/api/shop/coupons")).status_code == 200
    actions = await town.row("select array_agg(action order by id) from audit")
    assert actions == (["POST disable_plugin", "POST undo_change"],)


async def test_what_was_closed_meanwhile_is_given_back_after_the_release(town: Town) -> None:
    trade = await town.buy()
    await removal.quarantine(town.runtime, "coupons", "counts wrongly")
    closed = await town.buyer.post(f"/api/shop/trades/{trade['id']}/close")
    assert closed.status_code == 200, closed.text
    await inline.drain(town.runtime, strict=True, until=town.runtime.clock() + timedelta(minutes=3))
    assert await town.row("select status from coupons_coupon") == ("used",)
    await removal.release(town.runtime, "coupons")
    await inline.drain(town.runtime, strict=True, until=town.runtime.clock() + timedelta(minutes=9))
    assert await town.row("select status from coupons_coupon") == ("unused",)


async def test_no_refund_is_decided_without_a_plugin_that_has_to_be_asked(town: Town) -> None:
    trade = await town.buy()
    await town.pay(trade)
    await removal.quarantine(town.runtime, "coupons", "counts wrongly")
    refused = await town.buyer.post(f"/api/shop/orders/{trade['orders'][0]['id']}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "plugin_quarantined")
