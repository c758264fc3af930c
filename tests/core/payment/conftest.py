"""Trades as placement leaves them, written straight to the tables: payment does not care how they came about."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from core.db.tx import Tx
from core.kit.ids import new_id, new_number, ref
from core.payment.provider import Outside
from core.payment.registry import chosen
from core.payment.schemas import PaymentOut
from core.payment.service import create
from core.testkit.sandbox import sandbox
from core.types.scope import SYSTEM, Audience, Principal, Scope

_TRADE = """
insert into trade (account_id, id, number, goods_amount, discount_amount, shipping_amount, payable, created_at, expires_at)
values ($1, $2, $3, $4, 0, 0, $4, $5, $6)
"""
_ORDER = """
insert into orders (merchant_id, id, trade_id, account_id, number, merchant_name, goods_amount, discount_amount,
  shipping_amount, payable, market_borne, commission, commission_rule, created_at, contributors)
values ($1, $2, $3, $4, $5, 'shop', $6::bigint + $7::bigint, $7, 0, $6, $7, $8, 'flat', $9, $10)
"""


@dataclass
class Placed:
    """A trade with its orders, one per merchant."""

    account_id: UUID
    trade_id: UUID
    orders: list[tuple[UUID, UUID]]
    numbers: list[str]


class Desk:
    """Places trades, opens payments and looks at what became of them."""

    def __init__(self, runtime: Any, http: httpx.AsyncClient) -> None:
        self.runtime, self.http = runtime, http
        self.outside = Outside(runtime.env, http, self.begin)

    def begin(self, scope: Scope) -> Tx:
        """A transaction; sign-ins of these tests have no session rows to look at."""
        return self.runtime.tx(Scope(scope.kind, scope.account_id, scope.merchant_id))  # type: ignore[no-any-return]

    async def place(
        self,
        amounts: Sequence[int] = (9_300,),
        *,
        borne: int = 0,
        commission: int = 0,
        ttl: int = 1800,
        contributors: Sequence[str] | None = (),
    ) -> Placed:
        """An unpaid trade with an order of each amount (fen), in which these plugins had a part."""
        account, trade = new_id(), new_id()
        orders = [(new_id(), new_id()) for _ in amounts]
        numbers = [new_number() for _ in amounts]
        async with self.begin(SYSTEM) as tx:
            await tx.execute(
                _TRADE, account, trade, new_number(), sum(amounts), tx.now, tx.now + timedelta(seconds=ttl)
            )
            for (merchant, order), number, amount in zip(orders, numbers, amounts, strict=True):
                await tx.execute(
                    _ORDER,
                    merchant,
                    order,
                    trade,
                    account,
                    number,
                    amount,
                    borne,
                    commission,
                    tx.now,
                    contributors,
                )
        return Placed(account, trade, orders, numbers)

    async def open(self, placed: Placed) -> PaymentOut:
        """The buyer opens a payment in the sandbox."""
        me = Principal(placed.account_id, new_id(), Audience.SHOP)
        async with self.begin(Scope("buyer", placed.account_id)) as tx:
            return await create(self.outside, tx, me, placed.trade_id, chosen(tx.env, "sandbox"))

    async def pay(self, payment: PaymentOut, **body: Any) -> dict[str, Any]:
        """The buyer pays in the sandbox."""
        answer = await self.http.post(payment.client["pay_url"], json=body or None)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def rows(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        """Rows as the system sees them."""
        async with self.begin(SYSTEM) as tx:
            return [tuple(r) for r in await tx.fetch(sql, *args)]

    def theirs(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the sandbox's own books, where `:account` is this market."""
        return sandbox().rows(self.runtime.env.settings.sandbox_account, sql)

    async def statuses(self, placed: Placed) -> tuple[str, set[str]]:
        """The trade's status and those of its orders."""
        trade = await self.rows("select status from trade where id = $1", placed.trade_id)
        orders = await self.rows("select status from orders where trade_id = $1", placed.trade_id)
        return trade[0][0], {status for (status,) in orders}

    async def payment(self, payment: PaymentOut) -> str:
        """A payment's status."""
        rows = await self.rows("select id, status from payment")
        return {ref(i): status for i, status in rows}[payment.id]

    async def close(self, placed: Placed) -> None:
        """The trade is given up."""
        async with self.begin(SYSTEM) as tx:
            await tx.execute(
                "update trade set status = 'closed', closed_at = $2 where id = $1", placed.trade_id, tx.now
            )
            await tx.execute(
                "update orders set status = 'closed', closed_at = $2 where trade_id = $1",
                placed.trade_id,
                tx.now,
            )

    async def transfers(self) -> list[tuple[str, int]]:
        """All transfers as (code, amount), sorted."""
        return sorted(
            (code, amount) for code, amount in await self.rows("select code, amount from ledger_transfer")
        )

    async def run_timers(self, name: str, handler: Callable[..., Any]) -> int:
        """Run the waiting timers of this name as a worker would, due or not; the answer is how many there were."""
        waiting = await self.rows(
            """
            select o.id, o.payload::text from outbox o join delivery d on d.event_id = o.id
            where o.event = $1 and d.status = 'new' order by o.id""",
            f"timer:{name}",
        )
        for event, payload in waiting:
            async with self.begin(SYSTEM) as tx:
                await tx.execute("update delivery set status = 'done' where event_id = $1", event)
                await handler(tx, payload.encode())
        return len(waiting)


@pytest.fixture
async def desk(runtime: Any, client: httpx.AsyncClient) -> Desk:
    """See `Desk`."""
    return Desk(runtime, client)
