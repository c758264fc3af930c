"""Addresses: encrypted, the owner's alone, one default."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from core.identity import addresses
from core.identity.addresses import OrderAddress
from core.identity.schemas import AddressInput, AddressView
from core.kit.errors import Conflict, Invalid, NotFound
from core.kit.geo import Point
from core.kit.ids import new_id, parse_ref
from core.types.scope import SYSTEM, buyer, merchant
from tests.core.identity.people import make_account

HOME = AddressInput(
    "王小明", "138 1234 5678", "重庆市", "重庆市", "渝中区", "解放碑 1 号", Point(106.577, 29.557)
)
SECRETS = ("王小明", "13812345678", "解放碑")


def at(street: str, *, is_default: bool = False) -> AddressInput:
    return AddressInput("王小明", "13812345678", "重庆市", "重庆市", "渝中区", street, is_default=is_default)


async def add(runtime: Any, account: UUID, data: AddressInput = HOME) -> AddressView:
    async with runtime.tx(buyer(account)) as tx:
        return await addresses.add(tx, account, data)


async def listed(runtime: Any, account: UUID) -> list[AddressView]:
    async with runtime.tx(buyer(account)) as tx:
        return (await addresses.page(tx, account, 100, None)).items


async def test_an_address_is_given_back_as_it_was_sent(runtime: Any) -> None:
    account = await make_account(runtime, "buyer1")
    view = await add(runtime, account)
    assert (view.recipient, view.phone, view.street) == ("王小明", "13812345678", "解放碑 1 号")
    assert view.location == Point(106.577, 29.557)
    assert await listed(runtime, account) == [view]


async def test_personal_data_lies_encrypted(runtime: Any) -> None:
    account = await make_account(runtime, "buyer1")
    await add(runtime, account)
    async with runtime.tx(SYSTEM) as tx:
        row = await tx.fetchrow("select * from address")
        assert row["phone_index"] == runtime.env.vault.blind("13812345678")
        stored = b"".join(v if isinstance(v, bytes) else str(v).encode() for v in row.values())
    assert not [s for s in SECRETS if s.encode() in stored]


async def test_a_ciphertext_copied_to_another_account_does_not_open(runtime: Any) -> None:
    one, two = await make_account(runtime, "buyer1"), await make_account(runtime, "buyer2")
    await add(runtime, one)
    await add(runtime, two, at("南坪 2 号"))
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "update address t set street = f.street from address f where f.account_id=$1 and t.account_id=$2",
            one,
            two,
        )
    with pytest.raises(ValueError, match="does not belong"):
        await listed(runtime, two)


async def test_the_first_address_is_the_default_and_another_takes_over(runtime: Any) -> None:
    account = await make_account(runtime, "buyer1")
    first, second = await add(runtime, account), await add(runtime, account, at("2"))
    assert (first.is_default, second.is_default) == (True, False)
    third = await add(runtime, account, at("3", is_default=True))
    assert [a.id for a in await listed(runtime, account) if a.is_default] == [third.id]
    async with runtime.tx(buyer(account)) as tx:
        await addresses.change(tx, account, parse_ref(second.id), at("2", is_default=True))
    assert [a.id for a in await listed(runtime, account) if a.is_default] == [second.id]


async def test_defaults_set_at_once_leave_one(runtime: Any) -> None:
    account = await make_account(runtime, "buyer1")
    await asyncio.gather(*(add(runtime, account, at(str(n), is_default=True)) for n in range(6)))
    assert [a.is_default for a in await listed(runtime, account)].count(True) == 1


async def test_there_are_at_most_fifty(runtime: Any) -> None:
    account = await make_account(runtime, "buyer1")
    for n in range(addresses.MOST - 2):
        await add(runtime, account, at(str(n)))
    answers = await asyncio.gather(*(add(runtime, account) for _ in range(5)), return_exceptions=True)
    refused = [a for a in answers if isinstance(a, Conflict)]
    assert [r.code for r in refused] == ["too_many_addresses"] * 3
    assert len(await listed(runtime, account)) == addresses.MOST


async def test_the_address_of_another_buyer_is_not_there(runtime: Any) -> None:
    one, two = await make_account(runtime, "buyer1"), await make_account(runtime, "buyer2")
    own, view = await add(runtime, two, at("mine")), await add(runtime, one)
    foreign = parse_ref(view.id)
    for work in (
        lambda tx: addresses.change(tx, two, foreign, at("x", is_default=True)),
        lambda tx: addresses.remove(tx, two, foreign),
    ):
        with pytest.raises(NotFound):
            async with runtime.tx(buyer(two)) as tx:
                await work(tx)
    assert await listed(runtime, two) == [own]
    assert await listed(runtime, one) == [view]


async def test_the_database_hides_addresses_from_everybody_else(runtime: Any) -> None:
    one, two = await make_account(runtime, "buyer1"), await make_account(runtime, "buyer2")
    await add(runtime, one)
    for scope in (buyer(two), merchant(new_id())):
        async with runtime.tx(scope) as tx:
            assert await tx.fetchval("select count(*) from address") == 0
            assert await tx.execute("update address set province = 'x'") == "UPDATE 0"
            assert await tx.execute("delete from address") == "DELETE 0"
    async with runtime.tx(buyer(one)) as tx:
        assert await tx.fetchval("select count(*) from address") == 1


async def for_order(tx: Any, account_id: UUID, address_id: UUID | None) -> OrderAddress | None:
    row = await tx.fetchrow(addresses.SEALED, account_id, address_id)
    return None if row is None else addresses.opened(tx.env.vault, account_id, row)


async def test_checkout_gets_the_address_asked_for_or_the_default(runtime: Any) -> None:
    one, two = await make_account(runtime, "buyer1"), await make_account(runtime, "buyer2")
    await add(runtime, one)
    other = await add(runtime, one, at("2"))
    home = OrderAddress(
        "王小明", "13812345678", "重庆市", "重庆市", "渝中区", "解放碑 1 号", Point(106.577, 29.557)
    )
    async with runtime.tx(SYSTEM) as tx:
        assert await for_order(tx, one, None) == home
        chosen = await for_order(tx, one, parse_ref(other.id))
        assert chosen is not None
        assert chosen.street == "2"
        assert await for_order(tx, two, parse_ref(other.id)) is None
        assert await for_order(tx, two, None) is None
        assert await for_order(tx, one, new_id()) is None


async def test_a_deleted_address_is_gone(runtime: Any) -> None:
    account = await make_account(runtime, "buyer1")
    view = await add(runtime, account)
    async with runtime.tx(buyer(account)) as tx:
        await addresses.remove(tx, account, parse_ref(view.id))
    assert await listed(runtime, account) == []


async def test_pages_follow_each_other(runtime: Any) -> None:
    account = await make_account(runtime, "buyer1")
    added = [(await add(runtime, account, at(str(n)))).id for n in range(5)]
    seen: list[str] = []
    cursor = None
    async with runtime.tx(buyer(account)) as tx:
        while True:
            page = await addresses.page(tx, account, 2, cursor)
            seen += [a.id for a in page.items]
            if (cursor := page.next_cursor) is None:
                break
    assert seen == added[::-1]


def test_bad_fields_are_named_all_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        addresses.checked(AddressInput(" \x00", "12", "重庆市", "\t", "渝中区", "x"))
    assert [e.field for e in refused.value.extra["errors"]] == ["recipient", "city", "phone"]
