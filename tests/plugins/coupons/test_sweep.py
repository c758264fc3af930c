"""What time does: coupons past their end are marked, buyers are reminded, both once."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest

from core.api import Plugin, Tx, hookimpl, new_id, parse_ref
from core.deployment.runtime import Runtime
from core.plugin import Snapshot
from core.types import scope as scopes
from core.types.scope import SYSTEM
from core.worker.inline import drain
from plugins.coupons import reminding, templates
from plugins.coupons.happened import CouponsExpiring, CouponsGranted
from plugins.coupons.schemas import Valid
from tests.support.coupon_use import Purchase
from tests.support.coupons import claim, held, issue, numbers


class Bell(Plugin):
    """Writes down what it is told."""

    name = "bell"
    title = "Bell"
    summary = "Tells people."
    told: ClassVar[list[Any]] = []

    @hookimpl
    async def coupon_expiring(self, tx: Tx, event: CouponsExpiring) -> None:
        self.told.append(event)

    @hookimpl
    async def coupon_granted(self, tx: Tx, event: CouponsGranted) -> None:
        self.told.append(event)


@pytest.fixture
def bell(runtime: Runtime) -> Iterator[list[Any]]:
    from core import hookspecs

    present = runtime.snapshot
    plugins = [*present.active.values(), Bell()]
    runtime.snapshot = Snapshot(present.generation, plugins, plugins, hookspecs)
    Bell.told.clear()
    yield Bell.told
    runtime.snapshot = present


async def sweep(runtime: Any) -> None:
    """As a cycle does it, with what it leaves to be done."""
    async with runtime.tx(SYSTEM) as tx:
        cycle = tx.snapshot.installed["coupons"].cycles["sweep"]
        assert cycle.every == timedelta(seconds=60)
        await cycle.run(tx)
    await drain(runtime, strict=True)


async def end(runtime: Any, *coupons: str) -> None:
    """Let these coupons run out."""
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "update coupons_coupon set expires_at = $1 where id = any($2::uuid[])",
            tx.now - timedelta(seconds=1),
            [parse_ref(c) for c in coupons],
        )


async def marked(runtime: Any) -> list[str]:
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch("select status from coupons_coupon order by id")
    return [row["status"] for row in rows]


async def test_coupons_past_their_end_are_marked_and_counted_once(runtime: Any) -> None:
    one, two = await issue(runtime, per_account=5), await issue(runtime, new_id())
    buyer = new_id()
    gone = [await claim(runtime, buyer, t) for t in (one, one, two)]
    await claim(runtime, buyer, one)
    await end(runtime, *gone)
    for _ in range(2):
        await sweep(runtime)
        assert await marked(runtime) == ["expired", "expired", "expired", "unused"]
        assert [(await numbers(runtime, t)).expired for t in (one, two)] == [2, 1]


async def test_more_than_a_batch_is_gone_on_with_at_once(
    runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reminding, "BATCH", 2)
    template = await issue(runtime)
    await end(runtime, *[await claim(runtime, new_id(), template) for _ in range(7)])
    await sweep(runtime)
    assert (await numbers(runtime, template)).expired == 7


async def test_a_used_coupon_never_expires(runtime: Any) -> None:
    buyer = new_id()
    coupon = await claim(runtime, buyer, await issue(runtime))
    await Purchase(runtime, buyer, [new_id()]).place()
    await end(runtime, coupon)
    await sweep(runtime)
    assert await held(runtime, buyer) == {coupon: "used"}


async def test_a_coupon_that_somebody_holds_is_left_for_the_next_time(runtime: Any) -> None:
    buyer = new_id()
    coupon = await claim(runtime, buyer, await issue(runtime))
    await end(runtime, coupon)
    async with runtime.tx(SYSTEM) as tx:
        await tx.fetchrow("select 1 from coupons_coupon where id = $1 for update", parse_ref(coupon))
        await asyncio.wait_for(sweep(runtime), 5)
        assert await marked(runtime) == ["unused"]
    await sweep(runtime)
    assert await marked(runtime) == ["expired"]


async def test_sweeps_claims_and_voids_at_once_come_to_an_end_and_count_right(runtime: Any) -> None:
    made = [await issue(runtime, total=1000, per_account=1000) for _ in range(3)]
    buyers = [new_id() for _ in range(8)]
    await end(runtime, *[await claim(runtime, buyer, t) for buyer in buyers for t in made])

    async def void(template: str) -> None:
        async with runtime.tx(scopes.SYSTEM) as tx:
            await templates.void(tx, scopes.MARKET_ID, template, "x")

    more = [claim(runtime, buyer, made[0]) for buyer in buyers]
    await asyncio.gather(sweep(runtime), sweep(runtime), *more, *(void(t) for t in made[1:]))
    await sweep(runtime)
    found = [await numbers(runtime, t) for t in made]
    assert [(f.expired + f.voided, f.claimed) for f in found] == [(8, 16), (8, 8), (8, 8)]


async def test_buyers_are_told_once_of_everything_that_ends_soon(runtime: Any, bell: list[Any]) -> None:
    one, two = new_id(), new_id()
    soon, sooner, late = [await issue(runtime, valid=Valid(days=d)) for d in (3, 2, 4)]
    mine = [await claim(runtime, one, t) for t in (soon, sooner, late)]
    other = await claim(runtime, two, soon)
    for _ in range(2):
        await sweep(runtime)
    found: dict[UUID, CouponsExpiring] = {event.account_id: event for event in bell}
    assert len(bell) == 2
    assert found[one].coupon_ids == (parse_ref(mine[1]), parse_ref(mine[0]))
    assert found[two].coupon_ids == (parse_ref(other),)
    async with runtime.tx(SYSTEM) as tx:
        assert abs(found[one].expires_at - tx.now - timedelta(days=2)) < timedelta(minutes=1)


async def test_one_account_is_told_once_even_of_more_than_a_batch(
    runtime: Any, bell: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reminding, "BATCH", 2)
    template, one, two = await issue(runtime, per_account=9, valid=Valid(days=1)), new_id(), new_id()
    for buyer in (one, one, one, two, one):
        await claim(runtime, buyer, template)
    await sweep(runtime)
    assert sorted(len(event.coupon_ids) for event in bell) == [1, 4]


async def test_nobody_is_told_of_what_is_used_or_void_or_gone(runtime: Any, bell: list[Any]) -> None:
    template = await issue(runtime, valid=Valid(days=1))
    used, gone = new_id(), new_id()
    await claim(runtime, used, template)
    await Purchase(runtime, used, [new_id()]).place()
    await end(runtime, await claim(runtime, gone, template))
    await sweep(runtime)
    assert bell == []


async def test_coupon_granted_tells_what_an_account_was_given(runtime: Any, bell: list[Any]) -> None:
    from core.api import Grant
    from plugins.coupons.benefits import CouponBenefits

    template, one = await issue(runtime, claim="gift", per_account=5), new_id()
    async with runtime.tx(SYSTEM) as tx:
        await CouponBenefits().grant(tx, [Grant(one, template, "a", 2)])
    await drain(runtime, strict=True)
    (event,) = bell
    assert (event.account_id, event.origin, len(event.coupon_ids)) == (one, "gift", 2)
    assert set(await held(runtime, one)) == {_ref(i) for i in event.coupon_ids}


def _ref(coupon_id: UUID) -> str:
    from core.api import ref

    return ref(coupon_id)
