"""Templates: what they may name, what may change of them, how they are stopped, and what they tell their issuer."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from core.api import MARKET_ID, Conflict, Invalid, NotFound, new_id, parse_pair, parse_ref, ref
from core.db import migrations
from core.types import scope as scopes
from core.types.scope import SYSTEM
from plugins.coupons import repository, templates
from plugins.coupons.models import METADATA
from plugins.coupons.schemas import TemplatePatch, Valid
from tests.support.coupon_goods import Goods
from tests.support.coupon_use import Purchase
from tests.support.coupons import account, claim, held, issue, numbers, outcome


async def test_the_migrations_make_the_tables_of_the_models_and_take_them_back(database: Any) -> None:
    engine = create_async_engine(database.owner_url)
    history = migrations.History("coupons", "plugins.coupons.migrations")

    def step(connection: sa.Connection, target: str, *, down: bool) -> None:
        migrations._migrate(connection, history, target, down=down)

    async with engine.begin() as connection:
        await connection.execute(sa.text("set local jishi.scope = 'system'"))
        assert await connection.run_sync(lambda c: migrations.difference(c, history, METADATA)) == []
        await connection.run_sync(lambda c: step(c, "coupons_0001", down=True))
        await connection.run_sync(lambda c: step(c, "head", down=False))
        assert await connection.run_sync(lambda c: migrations.difference(c, history, METADATA)) == []
    await engine.dispose()


@pytest.fixture
async def goods(runtime: Any) -> Goods:
    return await Goods().make(runtime)


@pytest.mark.parametrize("kind", ["products", "categories", "shop_categories", "merchants"])
async def test_a_scope_names_only_what_is_there_and_looks_it_up_in_one_statement(
    runtime: Any, goods: Goods, kind: str
) -> None:
    known = goods.scope(kind)
    assert await outcome(issue(runtime, scope=known)) == "ok"
    wrong = {"kind": kind, "ids": [*known["ids"], ref(new_id()), ref(new_id(), new_id())]}
    with pytest.raises(Invalid) as refusal:
        await issue(runtime, scope=wrong)
    assert [e.field for e in refusal.value.extra["errors"]] == ["scope.ids[1]", "scope.ids[2]"]
    allowed = "invalid" if kind == "merchants" else "ok"
    assert await outcome(issue(runtime, goods.one, scope=known)) == allowed
    foreign = "ok" if kind == "categories" else "invalid"
    assert await outcome(issue(runtime, goods.two, scope=known)) == foreign
    async with runtime.tx(scopes.PLATFORM) as tx:
        await tx.fetchval("select 1")
        before = tx.statements
        await repository.known(tx, kind, None, [new_id()])
        assert tx.statements - before == 1


async def test_an_id_with_the_wrong_owner_is_unknown(runtime: Any, goods: Goods) -> None:
    twisted = {"kind": "products", "ids": [ref(goods.two, parse_pair(goods.product)[1])]}
    assert await outcome(issue(runtime, scope=twisted)) == "invalid"


async def test_free_shipping_and_rates_may_have_a_cap_and_free_shipping_no_amount(runtime: Any) -> None:
    shop = new_id()
    assert await outcome(issue(runtime, shop, kind="free_shipping", amount=None)) == "ok"
    assert await outcome(issue(runtime, shop, kind="free_shipping", amount=None, cap=800)) == "ok"
    assert await outcome(issue(runtime, shop, kind="rate", amount=None, rate_bp=1000, cap=800)) == "ok"
    assert await outcome(issue(runtime, shop, kind="rate", amount=None)) == "invalid"
    assert await outcome(issue(runtime, shop, amount=500, threshold=0)) == "ok"


async def change(runtime: Any, template_id: str, **patch: Any) -> Any:
    async with runtime.tx(SYSTEM) as tx:
        return await templates.change(tx, MARKET_ID, template_id, TemplatePatch(**patch))


async def test_what_is_shown_and_how_many_are_handed_out_may_change_but_no_claimed_coupon(
    runtime: Any,
) -> None:
    template, buyer = await issue(runtime, total=5), new_id()
    await claim(runtime, buyer, template)
    async with runtime.tx(SYSTEM) as tx:
        later = tx.now + timedelta(days=3)
    changed = await change(runtime, template, name="新名字", total=8, per_account=2, claim_to=later)
    assert (changed.name, changed.total, changed.per_account, changed.claim_to) == ("新名字", 8, 2, later)
    assert (await change(runtime, template, claim_to=None)).claim_to is msgspec.UNSET
    assert (changed.amount, changed.left) == (500, 7)
    async with runtime.tx(SYSTEM) as tx:
        names = await tx.fetchval("select terms->>'name' from coupons_coupon")
    assert names == "满减券"


async def test_a_total_is_never_lowered_and_never_beyond_what_the_operator_allows(runtime: Any) -> None:
    template = await issue(runtime, total=5)
    assert await outcome(change(runtime, template, total=4)) == "invalid"
    assert await outcome(change(runtime, template, total=10_000_001)) == "invalid"
    assert await outcome(change(runtime, template, total=5)) == "ok"
    with pytest.raises(NotFound):
        await change(runtime, ref(new_id(), new_id()), total=6)


async def void(runtime: Any, template_id: str, reason: str = "Wrong price") -> Any:
    async with runtime.tx(SYSTEM) as tx:
        return await templates.void(tx, parse_pair(template_id)[0], template_id, reason)


async def test_closing_keeps_what_is_claimed_and_voiding_takes_what_is_unused(runtime: Any) -> None:
    shop, one, two = new_id(), new_id(), new_id()
    template = await issue(runtime, shop)
    used, unused = await claim(runtime, one, template), await claim(runtime, two, template)
    await Purchase(runtime, one, [shop]).place()
    async with runtime.tx(scopes.merchant(shop)) as tx:
        for _ in range(2):
            assert (await templates.stop(tx, shop, template)).status == "closed"
    assert await held(runtime, two) == {unused: "unused"}
    for _ in range(2):
        voided = await void(runtime, template)
        assert (voided.status, voided.statistics.voided, voided.statistics.claimed) == ("void", 1, 2)
    assert await held(runtime, two) == {unused: "void"}
    assert await held(runtime, one) == {used: "used"}
    async with runtime.tx(scopes.merchant(shop)) as tx:
        assert (await templates.stop(tx, shop, template)).status == "void"
    assert await outcome(claim(runtime, new_id(), template)) == "not_claimable"
    with pytest.raises(Conflict):
        async with runtime.tx(SYSTEM) as tx:
            await templates.change(tx, shop, template, TemplatePatch(total=500))


async def test_the_reason_is_shown_to_the_buyer(runtime: Any) -> None:
    template, buyer = await issue(runtime), new_id()
    await claim(runtime, buyer, template)
    await void(runtime, template, "发错了")
    from plugins.coupons import wallet

    async with runtime.tx(scopes.buyer(buyer)) as tx:
        (coupon,) = (await wallet.held(tx, buyer, "void", None, 20)).items
    assert (coupon.status, coupon.reason) == ("void", "发错了")


async def test_voiding_goes_on_until_nothing_is_left(runtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "_BATCH", 2)
    template = await issue(runtime)
    for _ in range(5):
        await claim(runtime, new_id(), template)
    assert (await void(runtime, template)).statistics.voided == 5


async def test_a_coupon_that_is_just_being_used_stays_used_when_its_template_is_voided(runtime: Any) -> None:
    template, buyer = await issue(runtime), new_id()
    coupon = await claim(runtime, buyer, template)
    purchase = Purchase(runtime, buyer, [new_id()])
    voiding = await _void_meanwhile(runtime, purchase, template)
    assert (await voiding).statistics.voided == 0
    assert await held(runtime, buyer) == {coupon: "used"}
    await purchase.close()
    assert await held(runtime, buyer) == {coupon: "void"}


async def _void_meanwhile(runtime: Any, purchase: Purchase, template: str) -> "asyncio.Task[Any]":
    """Voiding that began while the coupon was being used, and waits for that."""
    from core.api import hookspecs
    from core.types.orders import PlacedOrder, Placement

    quote = await purchase.quote()
    orders = tuple(
        PlacedOrder(purchase.orders[parse_ref(m.merchant_id)], parse_ref(m.merchant_id), "n", m, 0, "")
        for m in quote.merchants
    )
    async with runtime.tx(SYSTEM) as tx:
        placement = Placement(purchase.trade_id, purchase.account_id, orders, quote, tx.now)
        await purchase.hook(tx, hookspecs.order_placing)(tx, placement)
        voiding = asyncio.create_task(void(runtime, template))
        await asyncio.sleep(0.1)
        assert not voiding.done()
    return voiding


_VOID_UNCHECKED = """
with unused as materialized (
  select account_id, id from coupons_coupon
  where merchant_id = $1 and template_id = $2 and status = 'unused' order by id limit $5
), gone as (
  update coupons_coupon c set status = 'void', voided_at = $3, void_reason = $4 from unused u
  where c.account_id = u.account_id and c.id = u.id returning c.id
)
select count(*)::int from gone
"""


async def test_without_the_lock_voiding_would_take_a_used_coupon(
    runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: only the table's own check is left to catch it."""
    monkeypatch.setattr(repository, "_VOID", _VOID_UNCHECKED)
    template, buyer = await issue(runtime), new_id()
    await claim(runtime, buyer, template)
    voiding = await _void_meanwhile(runtime, Purchase(runtime, buyer, [new_id()]), template)
    with pytest.raises(asyncpg.CheckViolationError):
        await voiding


async def test_a_voided_coupon_cannot_be_used(runtime: Any) -> None:
    template, buyer = await issue(runtime), new_id()
    await claim(runtime, buyer, template)
    purchase = Purchase(runtime, buyer, [new_id()])
    quote = await purchase.quote()
    await void(runtime, template)
    assert await outcome(purchase.place(quote)) == "coupon_used"


async def test_statistics_follow_a_coupon_from_claim_to_cost(runtime: Any) -> None:
    shop, buyer = new_id(), await account(runtime)
    template = await issue(runtime, merchant_share_bp=4000, amount=500, per_account=3)
    for _ in range(2):
        await claim(runtime, buyer, template)
    purchase = Purchase(runtime, buyer, [shop])
    await purchase.place()
    await purchase.pay()
    found = await numbers(runtime, template)
    assert (found.issued, found.claimed, found.used, found.orders_brought) == (100, 2, 1, 1)
    assert (found.cost.market, found.cost.merchant) == (300, 200)


async def test_the_market_sees_whose_coupons_are_claimed_and_a_shop_does_not(runtime: Any) -> None:
    shop, buyer = new_id(), await account(runtime, login="wangxiaoming")
    for issuer in (MARKET_ID, shop):
        template = await issue(runtime, issuer, per_account=2)
        ids = [await claim(runtime, buyer, template) for _ in range(2)]
        async with runtime.tx(SYSTEM) as tx:
            page = await templates.handed_out(tx, issuer, template, None, 1)
            rest = await templates.handed_out(tx, issuer, template, page.next_cursor, 1)
            with pytest.raises(NotFound):
                await templates.handed_out(tx, new_id(), template, None, 1)
        assert [c.id for c in [*page.items, *rest.items]] == ids[::-1]
        (seen,) = page.items
        assert (seen.status, seen.origin) == ("unused", "open")
        if issuer == MARKET_ID:
            assert (seen.account.id, seen.account.login) == (ref(buyer), "wa***")  # type: ignore[union-attr]
        else:
            assert seen.account is msgspec.UNSET


async def test_valid_without_any_end_is_refused(runtime: Any) -> None:
    assert await outcome(issue(runtime, valid=Valid())) == "invalid"
