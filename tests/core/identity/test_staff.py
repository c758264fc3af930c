"""Staff: roles, the last owner, sessions that end with the post; and the audit log."""

import asyncio
from typing import Any

import asyncpg
import pytest

from core.identity import audit, repository, staff
from core.identity.schemas import StaffInput
from core.kit.errors import Conflict, Invalid, NotFound, Unauthorized
from core.kit.ids import MARKET_ID, new_id, parse_ref, ref
from core.types import scope as scopes
from core.types.scope import PLATFORM, SYSTEM, Audience, Principal, merchant
from tests.core.identity.people import PASSWORD, employ, make_account, make_shop, principal


async def is_live(runtime: Any, me: Principal) -> bool:
    try:
        async with runtime.tx(scopes.of(me)) as tx:
            await tx.fetchval("select 1")
    except Unauthorized:
        return False
    return True


async def test_removed_staff_lose_their_sessions_there_and_no_others(runtime: Any) -> None:
    owner, clerk = await make_account(runtime, "owner"), await make_account(runtime, "clerk")
    shop = await make_shop(runtime, "shop")
    await employ(runtime, shop, owner, "owner")
    await employ(runtime, shop, clerk, "clerk")
    working, buying = await principal(runtime, "clerk", Audience.MERCHANT), await principal(runtime, "clerk")
    async with runtime.tx(SYSTEM) as tx:
        await staff.remove(tx, shop, clerk)
    assert not await is_live(runtime, working)
    assert await is_live(runtime, buying)


async def test_a_change_of_roles_ends_sessions_with_the_old_ones(runtime: Any) -> None:
    clerk, shop = await make_account(runtime, "clerk"), await make_shop(runtime, "shop")
    await employ(runtime, shop, clerk, "owner")
    old = await principal(runtime, "clerk", Audience.MERCHANT)
    await employ(runtime, shop, clerk, "admin", "clerk")
    assert not await is_live(runtime, old)
    new = await principal(runtime, "clerk", Audience.MERCHANT)
    assert new.roles == ("admin", "clerk")
    assert await is_live(runtime, new)


async def test_a_session_opened_while_staff_are_removed_does_not_survive(runtime: Any) -> None:
    owner, clerk = await make_account(runtime, "owner"), await make_account(runtime, "clerk")
    shop = await make_shop(runtime, "shop")
    await employ(runtime, shop, owner, "owner")
    await employ(runtime, shop, clerk, "clerk")
    me = Principal(clerk, new_id(), Audience.MERCHANT, shop, ("clerk",))

    async def remove() -> None:
        async with runtime.tx(SYSTEM) as tx:
            await staff.remove(tx, shop, clerk)

    async with runtime.tx(SYSTEM) as tx:
        assert await repository.account(tx, clerk, lock=True)
        removing = asyncio.create_task(remove())
        await asyncio.sleep(0.1)
        assert not removing.done()
        await repository.open_session(tx, me, new_id().bytes, tx.now.replace(year=tx.now.year + 1))
    await removing
    assert not await is_live(runtime, me)


async def test_the_last_owner_stays(runtime: Any) -> None:
    owner, clerk = await make_account(runtime, "owner"), await make_account(runtime, "clerk")
    shop = await make_shop(runtime, "shop")
    await employ(runtime, shop, owner, "owner")
    await employ(runtime, shop, clerk, "clerk")
    for work in (
        lambda tx: staff.remove(tx, shop, owner),
        lambda tx: staff.add(tx, shop, owner, ["finance"]),
    ):
        with pytest.raises(Conflict) as refused:
            async with runtime.tx(SYSTEM) as tx:
                await work(tx)
        assert refused.value.code == "last_owner"
    await employ(runtime, shop, clerk, "admin")
    async with runtime.tx(SYSTEM) as tx:
        await staff.remove(tx, shop, owner)


async def test_two_owners_leaving_at_once_leave_one(runtime: Any) -> None:
    shop = await make_shop(runtime, "shop")
    owners = [await make_account(runtime, f"owner{n}") for n in range(2)]
    for account in owners:
        await employ(runtime, shop, account, "owner")

    async def leave(account: Any) -> None:
        async with runtime.tx(SYSTEM) as tx:
            await staff.remove(tx, shop, account)

    answers = await asyncio.gather(*(leave(a) for a in owners), return_exceptions=True)
    assert [type(a) for a in answers].count(Conflict) == 1


async def test_hiring_makes_an_account_or_takes_one_there_is(runtime: Any) -> None:
    await make_account(runtime, "known")
    shop = await make_shop(runtime, "shop")
    async with runtime.tx(SYSTEM) as tx:
        new = await staff.hire(tx, shop, StaffInput("fresh", ["owner"], PASSWORD, "Fresh"))
        known = await staff.hire(tx, shop, StaffInput("KNOWN", ["clerk", "clerk"]))
        assert (new.nickname, known.login, known.roles) == ("Fresh", "known", ["clerk"])
        page = await staff.page(tx, shop, 20, None)
        assert {s.account_id for s in page.items} == {new.account_id, known.account_id}
    me = await principal(runtime, "fresh", Audience.MERCHANT)
    assert (me.account_id, me.merchant_id) == (parse_ref(new.account_id), shop)


async def test_hiring_refuses_what_does_not_fit(runtime: Any) -> None:
    await make_account(runtime, "known")
    shop = await make_shop(runtime, "shop")
    for data, error, code in [
        (StaffInput("unknown", ["clerk"]), NotFound, "not_found"),
        (StaffInput("known", ["clerk"], PASSWORD), Conflict, "login_taken"),
        (StaffInput("known", ["clerk", "reviewer"]), Invalid, "invalid"),
        (StaffInput("known", []), Invalid, "invalid"),
    ]:
        with pytest.raises(error) as refused:
            async with runtime.tx(SYSTEM) as tx:
                await staff.hire(tx, shop, data)
        assert refused.value.code == code


async def test_staff_of_another_shop_are_not_there(runtime: Any) -> None:
    clerk, shop, other = (
        await make_account(runtime, "clerk"),
        await make_shop(runtime, "shop"),
        await make_shop(runtime, "other"),
    )
    await employ(runtime, shop, clerk, "owner")
    with pytest.raises(NotFound):
        async with runtime.tx(SYSTEM) as tx:
            await staff.remove(tx, other, clerk)
    async with runtime.tx(merchant(other)) as tx:
        assert await tx.fetchval("select count(*) from staff") == 0


async def test_the_audit_log_shows_who_did_what(runtime: Any) -> None:
    clerk, shop = await make_account(runtime, "clerk"), await make_shop(runtime, "shop")
    me = Principal(clerk, new_id(), Audience.MERCHANT, shop, ("clerk",))
    odd = {"note": "a\x00b\\u0000", "n": 1}
    async with runtime.tx(merchant(shop)) as tx:
        await audit.record(tx, me, "product.update", "target\x00", odd, "r1")
    market = Principal(clerk, new_id(), Audience.PLATFORM, MARKET_ID, ("admin",))
    async with runtime.tx(PLATFORM) as tx:
        await audit.record(tx, market, "merchant.approve", "t2", {}, "r2")
        first = await audit.page(tx, None, 1, None)
        assert [(a.action, a.merchant_id) for a in first.items] == [("merchant.approve", ref(MARKET_ID))]
        rest = await audit.page(tx, None, 20, first.next_cursor)
        (entry,) = rest.items
        assert (entry.actor.login, entry.action, entry.target) == ("clerk", "product.update", "target")
        assert entry.detail == {"note": "ab\\u0000", "n": 1}
        assert rest.next_cursor is None
        assert [a.request_id for a in (await audit.page(tx, ref(shop), 20, None)).items] == ["r1"]


async def test_the_audit_log_cannot_be_changed_nor_written_for_others(runtime: Any) -> None:
    shop, other = await make_shop(runtime, "shop"), await make_shop(runtime, "other")
    me = Principal(new_id(), new_id(), Audience.MERCHANT, other, ("clerk",))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with runtime.tx(merchant(shop)) as tx:
            await audit.record(tx, me, "a", "t", {}, "r")
    for statement in ("update audit set action = 'x'", "delete from audit"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with runtime.tx(SYSTEM) as tx:
                await tx.execute(statement)
