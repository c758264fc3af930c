"""Coupons handed to chosen accounts, to buyers of a shop, and through other tools."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from core.api import Grant, Granted, new_id, parse_pair, ref
from core.types import scope as scopes
from core.types.scope import SYSTEM
from plugins.coupons import granting, handing, templates
from plugins.coupons.schemas import AccountsIn, GrantsOut, OrdersIn
from tests.support.coupon_use import Purchase
from tests.support.coupons import account, claim, held, issue, numbers, outcome
from tests.support.placed_orders import place_order


async def grant(
    runtime: Any, template_id: str, *accounts: UUID, cause: str = "spring", **more: Any
) -> GrantsOut:
    async with runtime.tx(SYSTEM) as tx:
        data = AccountsIn(cause, tuple(ref(a) for a in accounts), **more)
        return await granting.to_accounts(tx, template_id, data)


def codes_of(report: GrantsOut) -> list[tuple[int, str]]:
    return [(r.index, r.code) for r in report.refused]


async def test_accounts_are_named_by_id_or_login_and_the_refused_by_their_place(runtime: Any) -> None:
    one, two = await account(runtime), await account(runtime, login="xiaoming")
    guest = await account(runtime, guest=True)
    template = await issue(runtime, claim="targeted")
    report = await grant(runtime, template, one, new_id(), guest, logins=(" XiaoMing", "nobody"))
    assert report.granted == 2
    assert codes_of(report) == [(1, "unknown_account"), (2, "unknown_account"), (4, "unknown_account")]
    assert [len(await held(runtime, who)) for who in (one, two, guest)] == [1, 1, 0]
    assert (await numbers(runtime, template)).claimed == 2
    async with runtime.tx(scopes.buyer(two)) as tx:
        row = await tx.fetchrow("select origin, cause from coupons_coupon")
        assert tuple(row) == ("targeted", "grant:spring")
        assert await tx.fetchval("select count(*) from holding where plugin = 'coupons'") == 1


async def test_the_same_cause_gives_no_second_coupon_and_another_cause_does(runtime: Any) -> None:
    one, two = await account(runtime), await account(runtime)
    template = await issue(runtime, claim="targeted", per_account=2)
    assert (await grant(runtime, template, one, one)).granted == 1
    assert (await grant(runtime, template, one, two)).granted == 2
    assert (await numbers(runtime, template)).claimed == 2
    assert (await grant(runtime, template, one, cause="summer")).granted == 1
    report = await grant(runtime, template, one, two, cause="autumn")
    assert (report.granted, codes_of(report)) == (1, [(0, "claim_limit")])
    assert len(await held(runtime, one)) == 2


async def test_grants_count_against_the_total(runtime: Any) -> None:
    people = [await account(runtime) for _ in range(4)]
    template = await issue(runtime, claim="targeted", total=3)
    report = await grant(runtime, template, *people)
    assert (report.granted, codes_of(report)) == (3, [(3, "sold_out")])
    async with runtime.tx(scopes.PLATFORM) as tx:
        await templates.stop(tx, parse_pair(template)[0], template)
    report = await grant(runtime, template, *people)
    assert (report.granted, codes_of(report)) == (3, [(3, "not_claimable")])


async def test_only_templates_for_chosen_accounts_of_the_market_are_granted_to_accounts(runtime: Any) -> None:
    one = await account(runtime)
    assert await outcome(grant(runtime, await issue(runtime), one)) == "not_targeted"
    assert await outcome(grant(runtime, await issue(runtime, new_id(), claim="targeted"), one)) == "not_found"
    assert await outcome(grant(runtime, ref(new_id(), new_id()), one)) == "not_found"


async def test_a_shop_gives_to_the_buyers_of_its_own_orders_only(runtime: Any) -> None:
    shop, buyer = new_id(), await account(runtime)
    own = [await place_order(runtime, merchant_id=shop, account_id=buyer) for _ in range(2)]
    foreign = await place_order(runtime)
    template = await issue(runtime, shop, claim="targeted", per_account=5)
    twisted = ref(shop, foreign.id)
    orders = (own[0].ref, foreign.ref, own[1].ref, "nonsense", twisted)
    for _ in range(2):
        async with runtime.tx(SYSTEM) as tx:
            report = await granting.to_buyers(tx, shop, template, OrdersIn("thanks", orders))
        assert report.granted == 1
        assert codes_of(report) == [(1, "unknown_order"), (3, "unknown_order"), (4, "unknown_order")]
    assert len(await held(runtime, buyer)) == 1
    assert await held(runtime, foreign.account_id) == {}
    async with runtime.tx(SYSTEM) as tx:
        there = granting.to_buyers(tx, new_id(), template, OrdersIn("thanks", (own[0].ref,)))
        assert await outcome(there) == "not_found"


async def test_a_thousand_grants_take_as_many_statements_as_one(runtime: Any) -> None:
    template = await issue(runtime, claim="targeted", total=5000)
    async with runtime.tx(SYSTEM) as tx:
        ids = [new_id() for _ in range(1000)]
        await tx.execute(
            "insert into account (id, login, password_hash, nickname, pseudonym, created_at)"
            " select a, a::text, '', 'n', a, $2 from unnest($1::uuid[]) a", ids, tx.now,
        )  # fmt: skip
    counts = []
    for accounts, cause in ((ids[:1], "a"), (ids, "b")):
        async with runtime.tx(SYSTEM) as tx:
            await tx.fetchval("select 1")
            before = tx.statements
            await granting.to_accounts(tx, template, AccountsIn(cause, tuple(ref(a) for a in accounts)))
            counts.append(tx.statements - before)
    assert counts[0] == counts[1] <= 6


async def test_the_same_cause_at_once_gives_one_coupon(runtime: Any) -> None:
    people = [await account(runtime) for _ in range(5)]
    template = await issue(runtime, claim="targeted", per_account=9)
    await asyncio.gather(*(grant(runtime, template, *people[:: (-1) ** n]) for n in range(6)))
    assert [len(await held(runtime, who)) for who in people] == [1] * 5
    assert (await numbers(runtime, template)).claimed == 5


async def test_without_the_lock_the_same_cause_at_once_would_give_two(
    runtime: Any, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: nothing holds the template, so the second does not see what the first gives."""
    import asyncpg

    monkeypatch.setattr(handing, "_LOCK", handing._TEMPLATES)
    admin = await asyncpg.connect(owner)
    name = "uq_coupons_coupon_account_id_merchant_id_template_id_ordinal"
    await admin.execute(f"alter table coupons_coupon drop constraint {name}")
    await admin.close()
    one = await account(runtime)
    template = await issue(runtime, claim="targeted", per_account=9)
    async with runtime.tx(SYSTEM) as first:
        await granting.to_accounts(first, template, AccountsIn("x", (ref(one),)))
        second = asyncio.create_task(grant(runtime, template, one, cause="x"))
        await asyncio.sleep(0.1)
    await second
    assert len(await held(runtime, one)) == 2


async def test_the_total_holds_when_grants_and_claims_come_at_once(runtime: Any) -> None:
    people = [await account(runtime) for _ in range(12)]
    template = await issue(runtime, claim="targeted", total=7)
    found = await asyncio.gather(
        *(grant(runtime, template, *people[n : n + 4], cause=str(n)) for n in range(8))
    )
    assert sum([len(await held(runtime, who)) for who in people]) == 7
    assert (await numbers(runtime, template)).claimed == 7
    assert any(codes_of(report) for report in found)


class Told:
    """What subscribers of the plugin's own event were told."""

    @staticmethod
    async def of(runtime: Any, event: str) -> int:
        async with runtime.tx(SYSTEM) as tx:
            return int(await tx.fetchval("select count(*) from outbox where event = $1", event))


async def test_coupon_granted_is_written_only_for_those_who_listen(runtime: Any) -> None:
    template = await issue(runtime, claim="targeted")
    await grant(runtime, template, await account(runtime))
    assert await Told.of(runtime, "coupon_granted") == 0


def benefits(tx: Any) -> Any:
    found = tx.snapshot.benefit("coupons")
    assert found is not None
    return found


async def test_benefits_are_described_by_the_templates_id(runtime: Any) -> None:
    shop = new_id()
    gift, gone, open_ = (
        await issue(runtime, claim="gift"),
        await issue(runtime, shop, claim="gift", name="赠券"),
        await issue(runtime),
    )
    async with runtime.tx(SYSTEM) as tx:
        await templates.stop(tx, shop, gone)
        found = await benefits(tx).describe(tx, [gift, gone, open_, "nonsense", ref(new_id(), new_id())])
    assert [(b.reference, b.title, b.available) for b in found] == [
        (gift, "满减券", True),
        (gone, "赠券", False),
    ]


async def test_benefits_are_granted_once_for_a_cause_and_as_many_as_there_are(runtime: Any) -> None:
    one, two = new_id(), new_id()
    template = await issue(runtime, claim="gift", total=4, per_account=3)
    other = await issue(runtime)
    grants = [
        Grant(one, template, "game:1", 2),
        Grant(one, template, "game:1", 2),
        Grant(one, template, "game:2", 2),
        Grant(two, template, "game:1", 2),
        Grant(two, other, "game:1"),
        Grant(two, "nonsense", "game:1"),
        Grant(two, ref(new_id(), new_id()), "game:1"),
    ]
    for _ in range(2):
        async with runtime.tx(SYSTEM) as tx:
            found = await benefits(tx).grant(tx, grants)
        assert [g.quantity for g in found] == [2, 2, 1, 1, 0, 0, 0]
        assert [bool(g.reason) for g in found] == [False, False, True, True, True, True, True]
    assert (len(await held(runtime, one)), len(await held(runtime, two))) == (3, 1)
    assert (await numbers(runtime, template)).claimed == 4


async def test_revoked_benefits_are_void_and_the_worth_of_used_ones_is_answered_once(runtime: Any) -> None:
    shop, buyer = new_id(), new_id()
    template = await issue(runtime, claim="gift", per_account=3, merchant_share_bp=2000)
    async with runtime.tx(SYSTEM) as tx:
        assert list(await benefits(tx).grant(tx, [Grant(buyer, template, "sign-in", 2)])) == [Granted(2)]
    purchase = Purchase(runtime, buyer, [shop])
    await purchase.place()
    for worth in ([("market", 400), ("merchant", 100)], []):
        async with runtime.tx(SYSTEM) as tx:
            found = await benefits(tx).revoke(tx, buyer, "sign-in")
        assert [(d.bearer, d.amount) for d in found] == worth
    assert sorted((await held(runtime, buyer)).values()) == ["used", "void"]
    await purchase.close()
    async with runtime.tx(SYSTEM) as tx:
        assert await benefits(tx).revoke(tx, buyer, "sign-in") == []
    assert sorted((await held(runtime, buyer)).values()) == ["unused", "void"]


async def test_a_claimed_coupon_is_not_touched_by_revoking(runtime: Any) -> None:
    buyer = new_id()
    mine = await claim(runtime, buyer, await issue(runtime))
    async with runtime.tx(SYSTEM) as tx:
        assert await benefits(tx).revoke(tx, buyer, "whatever") == []
    assert await held(runtime, buyer) == {mine: "unused"}
