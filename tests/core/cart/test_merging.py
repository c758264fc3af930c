"""What becomes of a guest's cart when the guest signs in: the hook `account_merging` as core implements it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from core import hookspecs
from core.cart import service
from core.cart.schemas import MAX_CART_LINES
from core.catalog.schemas import MAX_QUANTITY
from core.identity import addresses, repository
from core.identity.schemas import AddressInput
from core.kit.ids import new_id
from core.types import scope as scopes
from core.types.identity import Merging
from core.types.scope import SYSTEM
from tests.core.cart.carts import fill, put, rows, source_of
from tests.support.shelves import change, put_on_sale

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PLACE = {
    "recipient": "王小明",
    "phone": "13812345678",
    "province": "重庆市",
    "city": "重庆市",
    "district": "南岸区",
}


async def merge(runtime: Any, guest_id: UUID, account_id: UUID) -> int:
    """As signing in does, with both accounts locked; the statements it took."""
    merging = Merging(guest_id, account_id)
    async with runtime.tx(SYSTEM) as tx:
        await repository.lock_merging(tx, merging, new_id())
        before: int = tx.statements
        for name, guard in tx.hooks.of(hookspecs.account_merging):
            if name == "core":
                await guard(tx, merging)
        return int(tx.statements) - before


async def account(runtime: Any) -> UUID:
    """An account's row, for the lock."""
    key = new_id()
    async with runtime.tx(SYSTEM) as tx:
        await repository.add_account(tx, key, str(key), "", "x", key)
    return key


async def test_account_merging_adds_the_guests_cart_to_the_accounts(runtime: Any) -> None:
    both, own, new = [await put_on_sale(runtime, price=100) for _ in range(3)]
    guest, me = new_id(), new_id()
    await put(runtime, me, both.ref, 2, selected=False, source={"slot": "mine"})
    await put(runtime, me, own.ref, 1, selected=False)
    for article in (both, new):
        await change(runtime, article, price=90)
    await put(runtime, guest, both.ref, 3, source={"slot": "theirs"})
    await put(runtime, guest, new.ref, 4, selected=False, source={"slot": "search"})
    # One statement for the cart, one that finds no addresses, one for what brought the guest.
    assert await merge(runtime, guest, me) == 3
    found = await rows(runtime, me)
    assert {sku: (r["quantity"], r["selected"], r["price_seen"], source_of(r)) for sku, r in found.items()} == {
        both.sku_id: (5, True, 100, {"slot": "mine"}),
        own.sku_id: (1, False, 100, None),
        new.sku_id: (4, False, 90, {"slot": "search"}),
    }  # fmt: skip
    assert await rows(runtime, guest) == {}
    await merge(runtime, guest, me)
    assert await rows(runtime, me) == found


async def test_quantities_add_up_to_the_most_that_a_cart_holds(runtime: Any) -> None:
    bowl, guest, me = await put_on_sale(runtime), new_id(), new_id()
    await put(runtime, me, bowl.ref, MAX_QUANTITY - 1)
    await put(runtime, guest, bowl.ref, 5)
    await merge(runtime, guest, me)
    assert (await rows(runtime, me))[bowl.sku_id]["quantity"] == MAX_QUANTITY


@pytest.mark.parametrize("own", [0, MAX_CART_LINES - 3, MAX_CART_LINES])
async def test_a_cart_that_would_be_too_full_takes_the_guests_newest_lines(runtime: Any, own: int) -> None:
    guest, me, bowl = new_id(), new_id(), await put_on_sale(runtime)
    kept = set(await fill(runtime, me, own, begin=BEGIN, step=MINUTE))
    theirs = await fill(runtime, guest, 5, begin=BEGIN + timedelta(days=9), step=MINUTE)
    if own:
        # The same article on both sides takes no room.
        async with runtime.tx(SYSTEM) as tx:
            await tx.execute(
                "update cart_line set merchant_id = $1, sku_id = $2 where (account_id, sku_id) in (($3, $4), ($5, $6))",
                bowl.merchant_id, bowl.sku_id, me, min(kept), guest, theirs[4],
            )  # fmt: skip
        kept.remove(min(kept))
        kept.add(bowl.sku_id)
        theirs.pop()
    await merge(runtime, guest, me)
    room = MAX_CART_LINES - own
    found = await rows(runtime, me)
    assert set(found) == kept | set(theirs[max(0, len(theirs) - room) :])
    assert await rows(runtime, guest) == {}


async def test_guests_who_sign_in_at_once_are_all_added_up(runtime: Any) -> None:
    me, bowl = await account(runtime), await put_on_sale(runtime)
    guests = [await account(runtime) for _ in range(4)]
    await fill(runtime, me, MAX_CART_LINES - 10, begin=BEGIN, step=MINUTE)
    for n, guest in enumerate(guests):
        await put(runtime, guest, bowl.ref, n + 1)
        await fill(runtime, guest, 5, begin=BEGIN, step=MINUTE)
    await asyncio.gather(*(merge(runtime, guest, me) for guest in guests))
    found = await rows(runtime, me)
    assert found[bowl.sku_id]["quantity"] == 1 + 2 + 3 + 4
    assert len(found) == MAX_CART_LINES


async def test_control_without_the_lock_the_cart_would_grow_too_full(runtime: Any) -> None:
    me, one, two = new_id(), new_id(), new_id()
    await fill(runtime, me, MAX_CART_LINES - 5, begin=BEGIN, step=MINUTE)
    for guest in (one, two):
        await fill(runtime, guest, 5, begin=BEGIN, step=MINUTE)
    async with runtime.tx(SYSTEM) as first, runtime.tx(SYSTEM) as second:
        await service.merge_guest(first, Merging(one, me))
        await service.merge_guest(second, Merging(two, me))
    assert len(await rows(runtime, me)) == MAX_CART_LINES + 5


async def test_a_line_put_meanwhile_is_added_up_too(runtime: Any) -> None:
    bowl, guest, me = await put_on_sale(runtime), new_id(), new_id()
    await put(runtime, guest, bowl.ref, 3)
    async with runtime.tx(SYSTEM) as other:
        await other.execute(
            "insert into cart_line (account_id, merchant_id, sku_id, quantity, price_seen, added_at)"
            " values ($1, $2, $3, 2, 1, $4)",
            me, bowl.merchant_id, bowl.sku_id, other.now,
        )  # fmt: skip
        waiting = asyncio.create_task(merge(runtime, guest, me))
        await asyncio.sleep(0.2)
        assert not waiting.done()
    await waiting
    assert (await rows(runtime, me))[bowl.sku_id]["quantity"] == 5


@pytest.mark.parametrize("has_own", [False, True])
async def test_a_guests_addresses_go_to_an_account_that_has_none(runtime: Any, has_own: bool) -> None:
    guest, me = await account(runtime), await account(runtime)
    for who, streets in ((guest, ("一路 1 号", "二路 2 号")), (me, ("三路 3 号",) * has_own)):
        for street in streets:
            async with runtime.tx(scopes.buyer(who)) as tx:
                await addresses.add(
                    tx, who, AddressInput(street=street, is_default=street[0] == "二", **PLACE)
                )
    async with runtime.tx(scopes.buyer(guest)) as tx:
        before = (await addresses.page(tx, guest, 20, None)).items
    await merge(runtime, guest, me)
    async with runtime.tx(scopes.buyer(me)) as tx:
        found = (await addresses.page(tx, me, 20, None)).items
    if has_own:
        assert [place.street for place in found] == ["三路 3 号"]
    else:
        assert found == before
    assert sum(place.is_default for place in found) == 1
