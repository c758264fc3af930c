"""Claiming: limits hold exactly when many claim at once."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec import UNSET

from core.kit.errors import Conflict, NotFound
from core.kit.ids import MARKET_ID, new_id, parse_pair, parse_ref, ref
from core.types import scope as scopes
from core.types.scope import SYSTEM
from plugins.coupons import claiming, templates, wallet
from plugins.coupons.schemas import Valid
from tests.support.coupon_goods import Goods
from tests.support.coupons import account, claim, held, issue, statistics
from tests.support.placed_orders import place_order


async def outcome(runtime: Any, account_id: UUID, template_id: str) -> str:
    try:
        await claim(runtime, account_id, template_id)
    except Conflict as error:
        return error.code
    return "claimed"


async def test_a_claimed_coupon_expires_days_after_claiming_or_at_the_fixed_end(runtime: Any) -> None:
    account_id = new_id()
    async with runtime.tx(SYSTEM) as tx:
        now = tx.now
    ends = [Valid(days=3), Valid(to=now + timedelta(days=2)), Valid(to=now + timedelta(days=2), days=3)]
    for valid, days in zip(ends, (3, 2, 2), strict=True):
        template = await issue(runtime, valid=valid)
        async with runtime.tx(SYSTEM) as tx:
            coupon = await claiming.claim(tx, account_id, template)
        assert abs(coupon.expires_at - now - timedelta(days=days)) < timedelta(minutes=1)
        assert (coupon.status, coupon.template.id) == ("unused", template)


async def test_per_account_and_total_end_in_conflicts(runtime: Any) -> None:
    template, one = await issue(runtime, total=3, per_account=2), new_id()
    assert [await outcome(runtime, one, template) for _ in range(3)] == ["claimed", "claimed", "claim_limit"]
    assert await outcome(runtime, new_id(), template) == "claimed"
    assert await outcome(runtime, new_id(), template) == "sold_out"
    assert (await statistics(runtime))[template] == (3, 3, 0, 0)


async def test_a_closed_template_or_one_that_ended_is_not_claimable(runtime: Any) -> None:
    template = await issue(runtime)
    async with runtime.tx(scopes.PLATFORM) as tx:
        await templates.stop(tx, parse_pair(template)[0], template)
    assert await outcome(runtime, new_id(), template) == "not_claimable"
    ended = await issue(runtime)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "update coupons_template set valid_to = $1 where id = $2", tx.now, parse_pair(ended)[1]
        )
    assert await outcome(runtime, new_id(), ended) == "claim_ended"
    with pytest.raises(NotFound):
        await claim(runtime, new_id(), ref(new_id(), new_id()))


async def test_fifty_at_once_get_exactly_what_there_is(runtime: Any) -> None:
    template = await issue(runtime, total=10)
    found = await asyncio.gather(*(outcome(runtime, new_id(), template) for _ in range(50)))
    assert (found.count("claimed"), found.count("sold_out")) == (10, 40)
    assert (await statistics(runtime))[template][1] == 10


async def test_one_account_at_once_gets_exactly_its_share(runtime: Any) -> None:
    template, account_id = await issue(runtime, per_account=3), new_id()
    found = await asyncio.gather(*(outcome(runtime, account_id, template) for _ in range(20)))
    assert (found.count("claimed"), found.count("claim_limit")) == (3, 17)
    assert len(await held(runtime, account_id)) == 3
    assert (await statistics(runtime))[template][1] == 3


_TAKE_UNLOCKED = """
select *, terms::text as terms_json from coupons_template
where merchant_id = $1 and id = $2 and claimed < total and $3::timestamptz is not null and claim = any($4::text[])
"""
_NO_ORDINAL = (
    "alter table coupons_coupon drop constraint uq_coupons_coupon_account_id_merchant_id_template_id_ordinal"
)


async def _not_held(*_: Any) -> None:
    """Instead of noting that the account holds coupons, which the second claim would wait for."""


async def test_without_the_row_lock_claims_run_over(
    runtime: Any, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the lock (and the unique ordinal) an account gets more than its share."""
    import asyncpg

    from plugins.coupons import handing

    monkeypatch.setattr(handing, "_TAKE", _TAKE_UNLOCKED)
    monkeypatch.setattr(claiming, "hold", _not_held)
    admin = await asyncpg.connect(owner)
    await admin.execute(_NO_ORDINAL)
    await admin.close()
    template, account_id = await issue(runtime), new_id()
    first, second = runtime.tx(SYSTEM), runtime.tx(SYSTEM)
    async with first, second:
        await claiming.claim(first, account_id, template)
        await claiming.claim(second, account_id, template)
    assert len(await held(runtime, account_id)) == 2


async def test_with_the_row_lock_the_second_claim_waits_for_the_first(runtime: Any) -> None:
    template, account_id = await issue(runtime), new_id()
    async with runtime.tx(SYSTEM) as first:
        await claiming.claim(first, account_id, template)
        second = asyncio.create_task(outcome(runtime, account_id, template))
        await asyncio.sleep(0.1)
        assert not second.done()
    assert await second == "claim_limit"


def shift(days: float) -> timedelta:
    return timedelta(days=days)


async def now(runtime: Any) -> Any:
    async with runtime.tx(SYSTEM) as tx:
        return tx.now


async def test_a_claim_outside_its_time_is_refused_with_the_reason(runtime: Any) -> None:
    moment = await now(runtime)
    early = await issue(runtime, claim_from=moment + shift(1), claim_to=moment + shift(2))
    assert await outcome(runtime, new_id(), early) == "not_started"
    late = await issue(runtime, claim_to=moment + shift(1))
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update coupons_template set claim_to = $1", moment)
    assert await outcome(runtime, new_id(), late) == "claim_ended"


async def test_a_coupon_may_begin_some_days_after_claiming_and_days_count_from_then(runtime: Any) -> None:
    moment = await now(runtime)
    cases = [
        (Valid(delay_days=2, days=3), 2, 5),
        (Valid(from_=moment + shift(4), days=3), 4, 7),
        (Valid(from_=moment + shift(1), delay_days=2, days=9, to=moment + shift(5)), 2, 5),
    ]
    for valid, begins, ends in cases:
        async with runtime.tx(SYSTEM) as tx:
            coupon = await claiming.claim(tx, new_id(), await issue(runtime, valid=valid))
        assert abs(coupon.valid_from - moment - shift(begins)) < timedelta(minutes=1)
        assert abs(coupon.expires_at - moment - shift(ends)) < timedelta(minutes=1)
    hopeless = await issue(runtime, valid=Valid(to=moment + shift(5), delay_days=4))
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update coupons_template set delay_days = 6 where id = $1", parse_pair(hopeless)[1])
    assert await outcome(runtime, new_id(), hopeless) == "claim_ended"


async def test_only_new_accounts_that_never_paid_get_what_is_for_new_accounts(runtime: Any) -> None:
    shop = new_id()
    of_market = await issue(runtime, claim="new_account")
    of_shop = await issue(runtime, shop, claim="new_account")
    fresh, old, elsewhere, here, unpaid = [await account(runtime, days=d) for d in (0, 31, 0, 0, 0)]
    await place_order(runtime, account_id=elsewhere)
    await place_order(runtime, account_id=here, merchant_id=shop)
    await place_order(runtime, account_id=unpaid, merchant_id=shop, status="unpaid")
    found = {
        who: (await outcome(runtime, who, of_market), await outcome(runtime, who, of_shop))
        for who in (fresh, old, elsewhere, here, unpaid)
    }
    assert found == {
        fresh: ("claimed", "claimed"),
        old: ("not_new", "not_new"),
        elsewhere: ("not_new", "claimed"),
        here: ("not_new", "not_new"),
        unpaid: ("claimed", "claimed"),
    }
    assert await outcome(runtime, new_id(), of_market) == "not_new"
    assert (await statistics(runtime))[of_market][1] == 2


async def test_what_is_handed_out_otherwise_cannot_be_claimed(runtime: Any) -> None:
    for claim_kind in ("targeted", "gift", "code"):
        template = await issue(runtime, claim=claim_kind)
        assert await outcome(runtime, new_id(), template) == "not_claimable"


async def offers(runtime: Any, viewer: UUID | None, **which: Any) -> dict[str, tuple[Any, Any, Any]]:
    scope = scopes.buyer(viewer) if viewer else scopes.ANONYMOUS
    given: dict[str, Any] = {"merchant_id": None, "product_id": None, **which}
    async with runtime.tx(scope) as tx:
        page = await claiming.offered(tx, viewer, **given, cursor=None, limit=50)
    return {t.id: (t.mine, t.claimable, t.reason) for t in page.items}


async def test_what_is_offered_says_whether_the_viewer_can_claim_it_and_why_not(runtime: Any) -> None:
    viewer, moment = await account(runtime, days=40), await now(runtime)
    can, mine = await issue(runtime), await issue(runtime)
    await claim(runtime, viewer, mine)
    sold_out = await issue(runtime, total=1)
    await claim(runtime, new_id(), sold_out)
    early = await issue(runtime, claim_from=moment + shift(1))
    newcomers = await issue(runtime, claim="new_account")
    for hidden in ("code", "gift", "targeted"):
        await issue(runtime, claim=hidden)
    assert await offers(runtime, viewer) == {
        can: (0, True, UNSET),
        mine: (1, False, "claim_limit"),
        sold_out: (0, False, "sold_out"),
        early: (0, False, "not_started"),
        newcomers: (0, False, "not_new"),
    }
    anonymous = await offers(runtime, None)
    assert anonymous[newcomers] == (UNSET, True, UNSET)
    assert anonymous[mine] == (UNSET, True, UNSET)
    assert (await offers(runtime, await account(runtime)))[newcomers] == (0, True, UNSET)


async def test_what_is_offered_to_new_accounts_depends_on_where_they_have_paid(runtime: Any) -> None:
    shop, other, viewer = new_id(), new_id(), await account(runtime)
    templates_ = [await issue(runtime, issuer, claim="new_account") for issuer in (MARKET_ID, shop, other)]
    await place_order(runtime, account_id=viewer, merchant_id=shop)
    found = await offers(runtime, viewer)
    assert [found[t][1] for t in templates_] == [False, False, True]
    async with runtime.tx(scopes.buyer(viewer)) as tx:
        await tx.fetchval("select 1")
        before = tx.statements
        await claiming.offered(tx, viewer, None, None, None, 50)
        assert tx.statements - before == 2


async def test_what_is_offered_for_a_product_is_usable_for_it(runtime: Any) -> None:
    goods = await Goods().make(runtime)
    fits = {
        await issue(runtime),
        await issue(runtime, goods.one),
        await issue(runtime, goods.one, scope=goods.scope("shop_categories")),
        *[await issue(runtime, scope=goods.scope(k)) for k in ("products", "categories", "merchants")],
    }
    await issue(runtime, goods.two)
    await issue(runtime, scope={"kind": "merchants", "ids": [ref(goods.two)]})
    assert set(await offers(runtime, None, product_id=goods.product)) == fits
    of_shop = await offers(runtime, None, product_id=goods.product, merchant_id=ref(goods.one))
    assert len(of_shop) == 2
    assert await offers(runtime, None, product_id=goods.product, merchant_id=ref(goods.two)) == {}
    with pytest.raises(NotFound):
        await offers(runtime, None, product_id=ref(goods.one, new_id()))


async def test_who_gets_a_coupon_is_known_to_hold_some(runtime: Any) -> None:
    buyer = new_id()
    await claim(runtime, buyer, await issue(runtime, valid=Valid(days=9)))
    await claim(runtime, buyer, await issue(runtime, valid=Valid(days=3)))
    async with runtime.tx(scopes.buyer(buyer)) as tx:
        until = await tx.fetchval("select until from holding where plugin = 'coupons'")
        assert abs(until - tx.now - shift(9)) < timedelta(minutes=1)


async def test_ending_soon_lists_what_can_still_be_used_and_ends_within_three_days(runtime: Any) -> None:
    buyer, found = new_id(), {}
    for days in (2, 4):
        found[days] = await claim(runtime, buyer, await issue(runtime, valid=Valid(days=days)))
    gone = await claim(runtime, buyer, await issue(runtime))
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update coupons_coupon set expires_at = $1 where id = $2", tx.now, parse_ref(gone))
    async with runtime.tx(scopes.buyer(buyer)) as tx:
        soon = await wallet.held(tx, buyer, "unused", None, 20, expiring=True)
        late = await wallet.held(tx, buyer, "expired", None, 20)
    assert ([c.id for c in soon.items], [c.id for c in late.items]) == ([found[2]], [gone])
