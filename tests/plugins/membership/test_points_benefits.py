"""Points that other tools hand out: for a cause once, and taken back with the worth of what is spent."""

from typing import Any

from core.api import Grant, new_id
from core.types.scope import SYSTEM
from plugins.membership import books
from plugins.membership.books import Entry
from tests.support.membership import balance, journal


async def provider(tx: Any) -> Any:
    return tx.snapshot.benefit("membership.points")


async def test_points_are_described_by_their_number(runtime: Any) -> None:
    async with runtime.tx(SYSTEM) as tx:
        found = await (await provider(tx)).describe(
            tx, ["100", "0", "x", "", "-5", "٣", "1000000", "1000001", "007"]
        )
        assert tx.statements == 0
    assert [(b.reference, b.title, b.available) for b in found] == [
        ("100", "100 积分", True),
        ("1000000", "1000000 积分", True),
    ]


async def test_a_cause_gives_an_account_points_but_once(runtime: Any) -> None:
    one, two = new_id(), new_id()
    grants = [
        Grant(one, "50", "draw:1", 2), Grant(two, "50", "draw:1"), Grant(one, "50", "draw:1", 2),
        Grant(one, "7", "draw:1"), Grant(one, "what", "draw:1"), Grant(two, "5", "draw:2", 0),
        Grant(two, "5", "draw:2", 100_000),
    ]  # fmt: skip
    for _ in range(2):
        async with runtime.tx(SYSTEM) as tx:
            found = await (await provider(tx)).grant(tx, grants)
            assert tx.statements <= 5
        assert [g.quantity for g in found] == [2, 1, 2, 1, 0, 0, 0]
        assert [bool(g.reason) for g in found] == [False] * 4 + [True] * 3
    assert await balance(runtime, one) == (107, 0)
    assert await balance(runtime, two) == (50, 0)


async def revoke(runtime: Any, account_id: Any, cause: str) -> list[tuple[int, str]]:
    async with runtime.tx(SYSTEM) as tx:
        return [(d.amount, d.bearer) for d in await (await provider(tx)).revoke(tx, account_id, cause)]


async def grant(runtime: Any, account_id: Any, reference: str, cause: str) -> None:
    async with runtime.tx(SYSTEM) as tx:
        await (await provider(tx)).grant(tx, [Grant(account_id, reference, cause)])


async def test_what_is_spent_of_a_gift_is_answered_with_its_worth_once(runtime: Any) -> None:
    me = new_id()
    await grant(runtime, me, "30", "a")
    await grant(runtime, me, "100", "b")
    assert await revoke(runtime, me, "b") == []
    assert await balance(runtime, me) == (30, 0)
    await grant(runtime, me, "100", "c")
    await revoke(runtime, me, "a")
    await grant(runtime, me, "40", "d")
    # 140 are there; "c" goes first, of "d" and of a third gift nothing is left.
    assert await revoke(runtime, me, "c") == []
    await grant(runtime, me, "60", "e")
    assert await revoke(runtime, me, "e") == []
    assert await balance(runtime, me) == (40, 0)
    async with runtime.tx(SYSTEM) as tx:
        book = (await books.opened(tx, [me]))[me]
        book.purse.spend(25, tx.now)
        book.note(Entry(new_id(), "points", -25, "used", "somewhere"))
        await books.write(tx, [book])
    assert await revoke(runtime, me, "d") == [(25, "market")]
    for _ in range(2):
        assert await revoke(runtime, me, "d") == []
        await grant(runtime, me, "40", "d")
    assert await balance(runtime, me) == (0, 0)
    assert await revoke(runtime, me, "never") == []
    assert await revoke(runtime, new_id(), "d") == []
    assert ("revoked", -15) in await journal(runtime, me)


async def test_a_gift_that_ended_is_worth_nothing_when_it_is_taken_back(runtime: Any) -> None:
    me = new_id()
    await grant(runtime, me, "40", "d")
    runtime.clock.advance(days=400)
    assert await revoke(runtime, me, "d") == []
