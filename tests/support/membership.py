"""Members of a test's market: points in hand, levels, and what must hold of their books."""

from typing import Any
from uuid import UUID

from core.api import MARKET_ID, Grant
from core.testkit.market import Article, Market, Person
from core.types.scope import SYSTEM
from plugins.membership import levels
from plugins.membership.benefits import PointsBenefits
from plugins.membership.schemas import LevelIn

_BOOKS = """
select a.account_id, a.points, a.debt,
  (select coalesce(sum(points), 0) from membership_lot l where l.account_id = a.account_id) as lots,
  (select coalesce(sum(amount), 0) from membership_journal j
   where j.account_id = a.account_id and j.unit = 'points') as journal
from membership_account a
"""
_GROWTH = """
select m.growth, (select coalesce(sum(amount), 0) from membership_journal j
  where j.account_id = m.account_id and j.merchant_id = m.merchant_id and j.unit = 'growth') as journal
from membership_member m
"""
_MONTHS = """
select coalesce(j.account_id, b.account_id) as account_id, coalesce(j.months, 0) as journal, coalesce(b.months, 0) as orders
from (select account_id, level_id, sum(amount) as months from membership_journal where unit = 'level' group by 1, 2) j
full join (select o.account_id, x.level_id, sum(x.months * x.pieces) as months
  from membership_order o, jsonb_to_recordset(o.bought) x(level_id uuid, months int, pieces int) group by 1, 2) b
  on b.account_id = j.account_id and b.level_id = j.level_id
"""


async def give(runtime: Any, account_id: UUID, points: int, cause: str = "test") -> None:
    """Points of the market."""
    async with runtime.tx(SYSTEM) as tx:
        await PointsBenefits().grant(tx, [Grant(account_id, str(points), cause)])


async def level(runtime: Any, merchant_id: UUID = MARKET_ID, **more: Any) -> str:
    """A level's id; by default of the market, for everybody, 10 % off."""
    async with runtime.tx(SYSTEM) as tx:
        given = {"name": "银卡", "growth": 0, "discount_bp": 1000, **more}
        return (await levels.define(tx, merchant_id, LevelIn(**given))).id


async def balance(runtime: Any, account_id: UUID) -> tuple[int, int]:
    """(points, debt), after a look at everybody's books."""
    await balanced(runtime)
    async with runtime.tx(SYSTEM) as tx:
        row = await tx.fetchrow(
            "select points, debt from membership_account where account_id = $1", account_id
        )
    return (row["points"], row["debt"]) if row is not None else (0, 0)


async def growth(runtime: Any, account_id: UUID, merchant_id: UUID = MARKET_ID) -> int:
    """Growth in the market or a shop."""
    async with runtime.tx(SYSTEM) as tx:
        sql = "select growth from membership_member where account_id = $1 and merchant_id = $2"
        return int(await tx.fetchval(sql, account_id, merchant_id) or 0)


async def journal(runtime: Any, account_id: UUID, unit: str = "points") -> list[tuple[str, int]]:
    """(kind, amount) of each entry, the oldest first."""
    async with runtime.tx(SYSTEM) as tx:
        sql = "select kind, amount from membership_journal where account_id = $1 and unit = $2 order by id"
        return [(row["kind"], row["amount"]) for row in await tx.fetch(sql, account_id, unit)]


async def balanced(runtime: Any) -> None:
    """Everybody's journal sums to points less debt, to growth, and to the months of levels that orders brought; lots sum to
    points; nobody has points and debt."""
    async with runtime.tx(SYSTEM) as tx:
        for row in await tx.fetch(_BOOKS):
            assert row["points"] == row["lots"], row
            assert row["points"] - row["debt"] == row["journal"], row
            assert row["points"] == 0 or row["debt"] == 0, row
        for row in await tx.fetch(_GROWTH):
            assert row["growth"] == row["journal"], row
        for row in await tx.fetch(_MONTHS):
            assert row["journal"] == row["orders"], row


async def buy(
    market: Market, person: Person, goods: list[tuple[Article, int]], points: Any = 0
) -> dict[str, Any]:
    """A paid trade; `points` as the buyer chose."""
    return await market.purchase(person, goods, {"membership": {"points": points}} if points else None)


async def receive(market: Market, person: Person, trade: dict[str, Any]) -> None:
    """All of it is delivered, and effects are done."""
    await market.fulfil(person, trade)
    await market.drain()


async def refund(market: Market, order: dict[str, Any], *quantities: int) -> dict[str, Any]:
    """So many units of each line go back, or with none all that is left; done when this returns."""
    body: dict[str, Any] = {"reason": "test"}
    if quantities:
        lines = zip(order["lines"], quantities, strict=False)
        body["lines"] = [{"line_id": line["id"], "quantity": n} for line, n in lines if n]
    operator = await market.operator()
    answer = await operator.post(f"/api/platform/orders/{order['id']}/refunds", body)
    assert answer.status_code < 300, answer.text
    await market.drain()
    made: dict[str, Any] = answer.json()
    return made


def me(person: Person) -> UUID:
    """The person's account."""
    return person.me.account_id
