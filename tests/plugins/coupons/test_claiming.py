"""Claiming: limits hold exactly when many claim at once."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from core.kit.errors import Conflict, NotFound
from core.kit.ids import new_id, parse_pair, ref
from core.types import scope as scopes
from core.types.scope import SYSTEM
from plugins.coupons import service
from plugins.coupons.schemas import Valid
from tests.support.coupons import claim, held, issue, statistics


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
            coupon = await service.claim(tx, account_id, template)
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
        await service.stop(tx, parse_pair(template)[0], template)
    assert await outcome(runtime, new_id(), template) == "not_claimable"
    ended = await issue(runtime)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "update coupons_template set valid_to = $1 where id = $2", tx.now, parse_pair(ended)[1]
        )
    assert await outcome(runtime, new_id(), ended) == "not_claimable"
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
where merchant_id = $1 and id = $2 and claimed < total and $3::timestamptz is not null
"""
_NO_ORDINAL = (
    "alter table coupons_coupon drop constraint uq_coupons_coupon_account_id_merchant_id_template_id_ordinal"
)


async def test_without_the_row_lock_claims_run_over(
    runtime: Any, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the lock (and the unique ordinal) an account gets more than its share."""
    import asyncpg

    from plugins.coupons import repository

    monkeypatch.setattr(repository, "_TAKE", _TAKE_UNLOCKED)
    admin = await asyncpg.connect(owner)
    await admin.execute(_NO_ORDINAL)
    await admin.close()
    template, account_id = await issue(runtime), new_id()
    first, second = runtime.tx(SYSTEM), runtime.tx(SYSTEM)
    async with first, second:
        await service.claim(first, account_id, template)
        await service.claim(second, account_id, template)
    assert len(await held(runtime, account_id)) == 2


async def test_with_the_row_lock_the_second_claim_waits_for_the_first(runtime: Any) -> None:
    template, account_id = await issue(runtime), new_id()
    async with runtime.tx(SYSTEM) as first:
        await service.claim(first, account_id, template)
        second = asyncio.create_task(outcome(runtime, account_id, template))
        await asyncio.sleep(0.1)
        assert not second.done()
    assert await second == "claim_limit"
