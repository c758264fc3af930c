"""Express delivery: what it costs, who carries, and whose settings they are."""

from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from core.api import Basket, BasketLine, Invalid, ParcelDraft, WaybillChange, hookspecs, new_id
from core.db import migrations
from core.db.engine import create_owner_engine
from core.db.migrations import History
from core.types import scope as scopes
from core.types.scope import ANONYMOUS, SYSTEM, Audience
from plugins.express_delivery import rules
from plugins.express_delivery.config import ExpressDeliveryConfig
from plugins.express_delivery.models import METADATA
from plugins.express_delivery.remembered import RememberedTerms
from plugins.express_delivery.repository import Terms, save
from tests.support.placed_orders import bearer

AT = "/api/merchant/express_delivery/settings"
CONFIG = ExpressDeliveryConfig()


def basket(*lines: tuple[UUID, bool]) -> Basket:
    """One unit at 10 yuan per (shop, needs shipping)."""
    return Basket(
        tuple(
            BasketLine(str(n), shop, new_id(), new_id(), 1, 1000, requires_shipping=ships)
            for n, (shop, ships) in enumerate(lines)
        ),
        None,
        datetime.now(UTC),
    )


def parcel(carrier: str, waybill_no: str, kind: str = "express") -> ParcelDraft:
    return ParcelDraft(new_id(), new_id(), new_id(), new_id(), kind, carrier, waybill_no, ())


async def options(tx: Any, for_basket: Basket) -> list[Any]:
    [hook] = [hook for name, hook in tx.hooks.of(hookspecs.shipping_options) if name == "express_delivery"]
    return list(await hook(tx, for_basket))


async def test_shipping_options_give_each_shop_with_something_to_send_one_option_in_one_statement(
    runtime: Any,
) -> None:
    own, default, nothing_to_send = new_id(), new_id(), new_id()
    async with runtime.tx(scopes.merchant(own)) as tx:
        await save(tx, own, Terms(500, None))
    async with runtime.tx(SYSTEM) as tx:
        await tx.fetchval("select 1")
        before = tx.statements
        found = await options(tx, basket((own, True), (own, True), (default, True), (nothing_to_send, False)))
        assert tx.statements == before + 1
    terms = {
        o.merchant_id: (o.key, o.kind, o.name, o.terms.amount, o.terms.free_from, o.promise) for o in found
    }
    assert terms == {
        own: ("express_delivery:flat", "express", "快递", 500, None, CONFIG.promise),
        default: ("express_delivery:flat", "express", "快递", 800, 9900, CONFIG.promise),
    }


async def test_terms_just_read_are_not_read_again_until_five_seconds_have_passed(runtime: Any) -> None:
    shop, present = new_id(), 100.0
    remembered = RememberedTerms(lambda: present)
    async with runtime.tx(SYSTEM) as tx:
        await save(tx, shop, Terms(500, None))
        assert await remembered.of(tx, [shop, new_id()]) == {shop: Terms(500, None)}
        await save(tx, shop, Terms(700, 1))
        before, present = tx.statements, 104.9
        assert await remembered.of(tx, [shop]) == {shop: Terms(500, None)}
        assert tx.statements == before
        present = 105.0
        assert await remembered.of(tx, [shop]) == {shop: Terms(700, 1)}


async def test_that_a_shop_has_set_nothing_is_remembered_too(runtime: Any) -> None:
    remembered, shop = RememberedTerms(), new_id()
    async with runtime.tx(ANONYMOUS) as tx:
        assert await remembered.of(tx, [shop]) == await remembered.of(tx, [shop]) == {}
        assert tx.statements == 1


async def test_what_a_shop_sets_holds_at_once_in_this_process(runtime: Any, client: Any) -> None:
    shop = new_id()
    mine = await bearer(runtime, Audience.MERCHANT, merchant_id=shop, roles=("clerk",))
    for fee in (300, 400):
        saved = await client.put(AT, json={"fee": fee, "free_from": None}, headers=mine)
        assert saved.status_code == 200
        async with runtime.tx(ANONYMOUS) as tx:
            [option] = await options(tx, basket((shop, True)))
        assert option.terms.amount == fee


async def test_terms_saved_while_they_are_read_are_not_remembered_as_they_were(runtime: Any) -> None:
    shop, remembered = new_id(), RememberedTerms()

    class Saving:
        """Reads the old terms; the shop saves new ones before the answer arrives."""

        async def fetch(self, sql: str, *args: Any) -> Any:
            rows = await tx.fetch(sql, *args)
            remembered.forget(shop)
            return rows

    async with runtime.tx(SYSTEM) as tx:
        assert await remembered.of(cast("Any", Saving()), [shop]) == {}
        await save(tx, shop, Terms(700, None))
        assert await remembered.of(tx, [shop]) == {shop: Terms(700, None)}


async def test_only_so_many_shops_are_remembered(runtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugins.express_delivery.remembered.MOST", 3)
    remembered = RememberedTerms()
    async with runtime.tx(ANONYMOUS) as tx:
        for _ in range(5):
            await remembered.of(tx, [new_id(), new_id()])
            assert len(remembered._kept) <= 3
        await remembered.of(tx, [new_id() for _ in range(9)])
        assert len(remembered._kept) <= 3


async def test_a_basket_without_anything_to_send_asks_the_database_nothing(runtime: Any) -> None:
    async with runtime.tx(ANONYMOUS) as tx:
        assert await options(tx, basket((new_id(), False))) == []
        assert tx.statements == 0


async def test_a_visitor_without_a_sign_in_sees_a_shops_own_fee(runtime: Any) -> None:
    shop = new_id()
    async with runtime.tx(scopes.merchant(shop)) as tx:
        await save(tx, shop, Terms(0, 0))
    async with runtime.tx(ANONYMOUS) as tx:
        [option] = await options(tx, basket((shop, True)))
    assert option.terms.amount == 0


@pytest.mark.parametrize(("goods", "fee"), [(0, 800), (9899, 800), (9900, 0), (20000, 0)])
async def test_the_fee_falls_away_from_the_amount_on(runtime: Any, goods: int, fee: int) -> None:
    async with runtime.tx(ANONYMOUS) as tx:
        [option] = await options(tx, basket((new_id(), True)))
    assert option.terms.fee(goods, ()) == fee


@pytest.mark.parametrize(
    "carrier", [c.code for c in rules.CARRIERS] + ["SF", "JTSD", "huitongkuaidi", " yd "]
)
def test_known_carriers_pass_in_any_spelling(carrier: str) -> None:
    rules.check(parcel(carrier, "SF1234567890123"))


def test_no_two_carriers_share_a_code() -> None:
    codes = [code for c in rules.CARRIERS for code in (c.code, *c.aliases)]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("number", ["123456", "JDVA123-1-1-", "9" * 40])
def test_numbers_that_can_be_waybills_pass(number: str) -> None:
    rules.check(parcel("jd", number))


@pytest.mark.parametrize(
    "number", ["", "12345", "9" * 41, "SF 123456", "SF123456\n", "ＳＦ１２３４５６", "sf_123456"]
)
def test_parcel_shipping_refuses_numbers_that_cannot_be_waybills(number: str) -> None:
    with pytest.raises(Invalid) as refusal:
        rules.check(parcel("sf", number))
    assert [(e.field, e.code) for e in refusal.value.extra["errors"]] == [("waybill_no", "bad_waybill")]


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(Invalid) as refusal:
        rules.check(parcel("pigeon", "?"))
    assert [e.code for e in refusal.value.extra["errors"]] == ["unknown_carrier", "bad_waybill"]


@pytest.mark.parametrize("kind", ["pickup", "service"])
def test_parcels_of_other_kinds_are_none_of_its_business(kind: str) -> None:
    rules.check(parcel("", "", kind))


async def test_a_shop_reads_and_sets_its_own_terms_only(runtime: Any, client: Any) -> None:
    shop, other = new_id(), new_id()
    mine = await bearer(runtime, Audience.MERCHANT, merchant_id=shop, roles=("clerk",))
    theirs = await bearer(runtime, Audience.MERCHANT, merchant_id=other)
    default = {"fee": 800, "free_from": 9900, "promise": CONFIG.promise, "own": False}
    assert (await client.get(AT, headers=mine)).json() == default
    for body in ({"fee": 1200, "free_from": 5000}, {"fee": 300, "free_from": None}):
        saved = await client.put(AT, json=body, headers=mine)
        assert (saved.status_code, saved.json()) == (200, body | {"promise": CONFIG.promise, "own": True})
        assert (await client.get(AT, headers=mine)).json() == saved.json()
    assert (await client.get(AT, headers=theirs)).json() == default


async def test_terms_out_of_range_are_refused(runtime: Any, client: Any) -> None:
    mine = await bearer(runtime, Audience.MERCHANT, merchant_id=new_id())
    for body in (
        {"fee": -1, "free_from": None},
        {"fee": 100_001, "free_from": None},
        {"fee": 1},
        {"fee": 1.5, "free_from": 0},
        {"fee": 1, "free_from": -1},
        {"fee": 1, "free_from": 0, "merchant_id": "x"},
    ):
        assert (await client.put(AT, json=body, headers=mine)).status_code == 422, body


async def test_terms_need_the_permission(runtime: Any, client: Any) -> None:
    finance = await bearer(runtime, Audience.MERCHANT, merchant_id=new_id(), roles=("finance",))
    assert (await client.get(AT, headers=finance)).status_code == 403
    assert (await client.put(AT, json={"fee": 0, "free_from": 0}, headers=finance)).status_code == 403


async def test_a_shop_cannot_write_anothers_terms_whatever_the_statement(runtime: Any) -> None:
    shop, other = new_id(), new_id()
    async with runtime.tx(scopes.merchant(other)) as tx:
        await save(tx, other, Terms(100, None))
    async with runtime.tx(scopes.merchant(shop)) as tx:
        assert await tx.execute("update express_delivery_shop set fee = 0") == "UPDATE 0"


async def test_everybody_may_read_the_carriers(client: Any) -> None:
    answer = await client.get("/api/shop/express_delivery/carriers")
    assert answer.status_code == 200
    assert {"code": "sf", "name": "顺丰速运"} in answer.json()["items"]


def test_the_config_refuses_what_cannot_be() -> None:
    for data in ({"default_fee": -1}, {"default_fee": "8"}, {"promise": "x" * 61}, {"fee": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(data, ExpressDeliveryConfig)


async def test_the_migration_makes_what_the_models_say(database: Any) -> None:
    history = History("express_delivery", "plugins.express_delivery.migrations")
    engine = create_owner_engine(database.owner_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(lambda c: migrations.difference(c, history, METADATA)) == []
    await engine.dispose()


@pytest.mark.parametrize(
    ("kind", "carrier", "waybill_no", "codes"),
    [
        ("express", "sf", "SF1234567890123", []),
        ("express", "pigeon", "1", ["unknown_carrier", "bad_waybill"]),
        ("instant", "rider", "", []),
    ],
)
async def test_parcel_changing_refuses_what_a_new_parcel_could_not_have(
    runtime: Any, kind: str, carrier: str, waybill_no: str, codes: list[str]
) -> None:
    change = WaybillChange(
        new_id(), new_id(), new_id(), new_id(), kind, carrier, waybill_no, "sf", "SF1234567890123"
    )
    async with runtime.tx(SYSTEM) as tx:
        [(_, changing)] = tx.hooks.of(hookspecs.parcel_changing)
        found: list[str] = []
        try:
            await changing(tx, change)
        except Invalid as refusal:
            found = [error.code for error in refusal.extra["errors"]]
    assert found == codes
