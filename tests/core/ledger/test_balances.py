"""Balances: rolled up or not they are the sums of the transfers, whoever looks when."""

import asyncio
import random
from uuid import UUID

import pytest

from core.deployment.runtime import Runtime
from core.kit.ids import new_id
from core.ledger import balances, service
from core.ledger.check import check
from core.ledger.rules import Account, Transfer
from core.types.scope import SYSTEM, merchant

SHOPS = [new_id() for _ in range(3)]
KINDS = ("gateway", "frozen", "payable", "funds")


def _transfers(rng: random.Random, count: int) -> list[Transfer]:
    made = []
    for _ in range(count):
        shop = rng.choice(SHOPS)
        debit, credit = rng.sample(KINDS, 2)
        made.append(
            Transfer(
                new_id(), shop, Account(shop, debit), Account(shop, credit), rng.randint(1, 99), "test", shop
            )
        )
    return made


def _sums(transfers: list[Transfer]) -> dict[Account, int]:
    sums: dict[Account, int] = {}
    for t in transfers:
        sums[t.debit] = sums.get(t.debit, 0) + t.amount
        sums[t.credit] = sums.get(t.credit, 0) - t.amount
    return sums


async def _balances(runtime: Runtime, shop: UUID | None = None) -> dict[Account, int]:
    async with runtime.tx(SYSTEM) as tx:
        return {b.account: b.balance for b in await service.accounts(tx, shop)}


@pytest.mark.parametrize("seed", range(3))
async def test_balances_are_the_sums_of_the_transfers_however_they_are_rolled_up(
    runtime: Runtime, seed: int
) -> None:
    rng = random.Random(seed)
    made = _transfers(rng, 60)
    for start in range(0, 60, 12):
        async with runtime.tx(SYSTEM) as tx:
            await service.post(tx, made[start : start + 12])
            # A repeat adds nothing.
            await service.post(tx, made[: start + 5])
        async with runtime.tx(SYSTEM) as tx:
            await balances.roll_up(tx, rng.randint(0, 30))
        assert await _balances(runtime) == _sums(made[: start + 12])
    async with runtime.tx(SYSTEM) as tx:
        held = await balances.held(tx, _sums(made))
        assert held == _sums(made)
        assert await balances.held(tx, [Account(new_id(), "payable")]) != {}
        await balances.roll_up(tx)
        assert await tx.fetchval("select count(*) from ledger_recent") == 0
    assert await _balances(runtime) == _sums(made)
    assert await _balances(runtime, SHOPS[0]) == _sums([t for t in made if t.merchant_id == SHOPS[0]])
    async with runtime.tx(merchant(SHOPS[1])) as tx:
        seen = {b.account: b.balance for b in await service.accounts(tx)}
    assert seen == _sums([t for t in made if t.merchant_id == SHOPS[1]])


async def test_rolled_up_at_once_and_while_money_moves_nothing_is_lost_or_counted_twice(
    runtime: Runtime,
) -> None:
    made = _transfers(random.Random(7), 80)
    looks: list[int] = []

    async def post(part: list[Transfer]) -> None:
        for t in part:
            async with runtime.tx(SYSTEM) as tx:
                await service.post(tx, [t])

    async def roll() -> None:
        for _ in range(15):
            async with runtime.tx(SYSTEM) as tx:
                await balances.roll_up(tx, 20)

    async def look() -> None:
        while len(looks) < 15:
            looks.append(sum((await _balances(runtime)).values()))

    await asyncio.gather(post(made[:40]), post(made[40:]), roll(), roll(), look())
    assert set(looks) == {0}
    assert await _balances(runtime) == _sums(made)


async def test_the_check_finds_a_balance_that_is_not_the_sum_of_its_transfers(runtime: Runtime) -> None:
    shop = new_id()
    one = Transfer(shop, shop, Account(shop, "gateway"), Account(shop, "frozen"), 5, "pay.buyer", shop)
    async with runtime.tx(SYSTEM) as tx:
        await service.post(tx, [one])
        await balances.roll_up(tx)
        assert (await check(tx)).problems == []
        await tx.execute("update ledger_balance set debit = 6 where kind = 'gateway'")
        found = (await check(tx)).problems
        assert [p.code for p in found] == ["cash", "balance"]
        assert [p.code for p in (await check(tx, sums=False)).problems] == ["cash"]
