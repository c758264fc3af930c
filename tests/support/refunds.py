"""Orders that were placed and paid as they are, with any lines, discounts and freight, for tests of what refunds do."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import httpx
import msgspec

from core.aftersales import service as aftersales
from core.aftersales.schemas import Refund
from core.db.tx import Tx
from core.deployment.runtime import Runtime
from core.fulfilment import release as releasing
from core.fulfilment import service as fulfilment
from core.fulfilment.schemas import ParcelIn, ParcelLineIn
from core.kit.ids import new_id, new_number, ref
from core.ledger.check import check
from core.payment import payouts, sandbox
from core.payment.provider import Outside
from core.payment.registry import chosen
from core.payment.service import create
from core.testkit.sandbox import sandbox as service_of_sandbox
from core.types.scope import SYSTEM, Audience, Principal, Scope
from core.worker.inline import drain

SPARE = 7


class Bought(msgspec.Struct, frozen=True):
    """A line: `discounts` are (market, merchant) in fen, `parent` the place of the line that a gift came with."""

    quantity: int
    unit_price: int
    discounts: tuple[tuple[int, int], ...] = ()
    kind: str = "sale"
    parent: int | None = None


class Paid(msgspec.Struct, frozen=True):
    """An order, its lines in the order given."""

    merchant_id: UUID
    id: UUID
    trade_id: UUID
    account_id: UUID
    lines: tuple[UUID, ...]
    skus: tuple[UUID, ...]
    payable: int
    market_borne: int

    @property
    def ref(self) -> str:
        """Its opaque id."""
        return ref(self.merchant_id, self.id)

    def line(self, place: int) -> str:
        """A line's opaque id."""
        return ref(self.merchant_id, self.lines[place])


class Till:
    """Sells, ships, refunds and looks at what became of it."""

    def __init__(self, runtime: Runtime, http: httpx.AsyncClient) -> None:
        self.runtime, self.http = runtime, http

    def begin(self, scope: Scope = SYSTEM) -> Tx:
        """A transaction; the sign-ins of these tests have no session rows."""
        return self.runtime.tx(Scope(scope.kind, scope.account_id, scope.merchant_id))

    async def sell(
        self,
        *lines: Bought,
        shipping: int = 0,
        shipping_market: int = 0,
        commission: int = 0,
        merchant_id: UUID | None = None,
        account_id: UUID | None = None,
        skus: Sequence[UUID] = (),
        earnings: Sequence[tuple[int, UUID, int]] = (),
    ) -> Paid:
        """An order that was paid through the sandbox. `shipping` is after its discounts, of which the market bore
        `shipping_market`; `skus` are the lines' SKUs, new ones unless given; `earnings` are (place of the line, who, fen)."""
        order = _order(lines, shipping, shipping_market, merchant_id or new_id(), account_id or new_id())
        order = msgspec.structs.replace(order, skus=tuple(skus) or order.skus)
        async with self.begin() as tx:
            await _write(tx, order, lines, shipping, shipping_market, commission)
            await _write_earnings(tx, order, earnings)
        me = Principal(order.account_id, new_id(), Audience.SHOP)
        outside = Outside(self.runtime.env, self.http, self.begin, self.runtime.clock)
        async with self.begin(Scope("buyer", order.account_id)) as tx:
            payment = await create(outside, tx, me, order.trade_id, chosen(tx.env, "sandbox"))
        if payment.status != "paid":
            answer = await self.http.post(payment.client["pay_url"])
            assert answer.json() == {"status": "paid", "notified": True}, answer.text
        return order

    async def accept(self, order: Paid) -> None:
        """The shop takes the order on."""
        async with self.begin() as tx:
            await fulfilment.accept(tx, order.merchant_id, order.id, None)

    async def ship(self, order: Paid, *units: tuple[int, int]) -> None:
        """A parcel with (place of the line, quantity), or with all that is left."""
        lines = [ParcelLineIn(order.line(place), quantity) for place, quantity in units] or None
        async with self.begin() as tx:
            await fulfilment.ship(
                tx, order.merchant_id, order.id, ParcelIn(lines=lines, kind="instant"), None
            )

    async def complete(self, order: Paid) -> None:
        """The buyer has received it."""
        async with self.begin() as tx:
            await fulfilment.receive(tx, order.account_id, order.merchant_id, order.id)

    async def release(self, order: Paid) -> releasing.Outcome:
        """The money is released, if it may be."""
        async with self.begin() as tx:
            return await releasing.release(tx, order.merchant_id, order.id)

    async def refund(
        self,
        order: Paid,
        *units: tuple[int, int],
        shipping: int | None = None,
        restock: bool = False,
        everything: bool = False,
    ) -> Refund:
        """Refund (place of the line, quantity); nothing named and `everything` is all that is left."""
        wanted = None if everything else [(order.lines[place], quantity) for place, quantity in units]
        async with self.begin() as tx:
            return await aftersales.decide(
                tx,
                order.merchant_id,
                order.id,
                wanted,
                shipping=shipping,
                restock=restock,
                origin="system",
                actor_id=None,
                reason="test",
            )

    async def drain(self) -> None:
        """Run all timers and effects that are due."""
        await drain(self.runtime, strict=True)

    async def row(self, sql: str, *args: Any) -> tuple[Any, ...]:
        """One row as the system sees it."""
        async with self.begin() as tx:
            found = await tx.fetchrow(sql, *args)
        assert found is not None
        return tuple(found)

    def theirs(self, sql: str) -> tuple[Any, ...]:
        """One row of the sandbox's own books, where `:account` is this market."""
        return service_of_sandbox().rows(self.runtime.env.settings.sandbox_account, sql)[0]

    async def order(self, order: Paid, *names: str) -> tuple[Any, ...]:
        """Columns of the order."""
        return await self.row(f"select {', '.join(names)} from orders where id = $1", order.id)

    async def line(self, order: Paid, place: int) -> tuple[int, int, int]:
        """Units shipped, refunded and cancelled of a line."""
        return await self.row(  # type: ignore[return-value]
            "select shipped_quantity, refunded_quantity, cancelled_quantity from order_line where id = $1",
            order.lines[place],
        )

    async def stock(self, order: Paid, place: int) -> tuple[int, int]:
        """On hand and reserved of a line's SKU."""
        return await self.row("select on_hand, reserved from stock where sku_id = $1", order.skus[place])  # type: ignore[return-value]

    async def status(self, order: Paid) -> str:
        """The order's status."""
        return str((await self.order(order, "status"))[0])

    async def transfers(self, order: Paid) -> list[tuple[str, str, str, int]]:
        """(code, debit kind, credit kind, amount) of the order, payment left out, sorted."""
        async with self.begin() as tx:
            rows = await tx.fetch(
                "select code, debit_kind, credit_kind, amount from ledger_transfer where reference = $1"
                " and code not like 'pay.%' order by code, amount",
                order.id,
            )
        return [tuple(row) for row in rows]  # type: ignore[misc]

    async def balances(self) -> dict[str, int]:
        """Debit less credit by kind of account, zeros left out."""
        async with self.begin() as tx:
            rows = await tx.fetch(
                "select kind, sum(amount)::bigint as amount from (select debit_kind as kind, amount from ledger_transfer"
                " union all select credit_kind, -amount from ledger_transfer) t group by kind"
            )
        return {row["kind"]: row["amount"] for row in rows if row["amount"]}

    async def assert_balanced(self) -> None:
        """The books agree with themselves, the orders and the payments; and with the sandbox's own if nothing is on its way."""
        async with self.begin() as tx:
            assert (await check(tx)).problems == []
            waiting = await tx.fetchval("select count(*) from channel_call where status <> 'done'")
        if not waiting:
            await self.assert_mirrored()

    async def assert_mirrored(self) -> None:
        """The ledger's cash is what the sandbox has, merchant by merchant."""
        theirs = await sandbox.books(Outside(self.runtime.env, self.http, self.begin, self.runtime.clock))
        merchants = dict(theirs.merchants)
        for leg in theirs.frozen:
            merchants[leg.merchant_id] = merchants.get(leg.merchant_id, 0) + leg.amount
        async with self.begin() as tx:
            rows = await tx.fetch(
                "select owner, kind, sum(debit - credit)::bigint as amount from (select owner, kind, debit, credit from"
                " ledger_balance union all select owner, kind, debit, credit from ledger_recent) s"
                " where kind in ('gateway', 'funds') group by owner, kind"
            )
            banks = await tx.fetch(
                "select debit_owner, sum(amount)::bigint as amount from ledger_transfer where code = 'payout.done' group by 1"
            )
            earners = await tx.fetch(
                "select debit_owner, sum(amount)::bigint as amount from ledger_transfer where code = 'split.earning' group by 1"
            )
        ours = {row["owner"]: row["amount"] for row in rows if row["kind"] == "gateway" and row["amount"]}
        assert ours == {owner: amount for owner, amount in merchants.items() if amount}
        assert sum(row["amount"] for row in rows if row["kind"] == "funds") == theirs.funds
        assert dict(map(tuple, banks)) == theirs.banks
        assert dict(map(tuple, earners)) == theirs.earners

    async def pay_out(self, merchant_id: UUID) -> UUID | None:
        """The merchant is paid what it is owed."""
        async with self.begin() as tx:
            return await payouts.pay_out(tx, merchant_id, actor_id=merchant_id)


async def _write_earnings(tx: Tx, order: Paid, earnings: Sequence[tuple[int, UUID, int]]) -> None:
    for place, owner, amount in earnings:
        await tx.execute(
            "insert into order_earning (merchant_id, id, order_id, line_id, owner_id, plugin, label, amount)"
            " values ($1, $2, $3, $4, $5, 'tests', '推广', $6)",
            order.merchant_id,
            new_id(),
            order.id,
            order.lines[place],
            owner,
            amount,
        )
    await tx.execute(
        "update orders set earnings = $2 where id = $1", order.id, sum(amount for _, _, amount in earnings)
    )


def hook(
    runtime: Runtime,
    spec: Callable[..., Any],
    *impls: tuple[str, Callable[..., Awaitable[Any]]],
    every_order: bool = True,
) -> None:
    """Let these, by name of plugin, be all the implementations of a hook; asked about every order unless told otherwise."""
    for _, impl in impls if every_order else ():
        impl.jishi_every_order = True  # type: ignore[attr-defined]
    runtime.snapshot.hooks._active[spec] = tuple(sorted(impls, key=lambda found: found[0]))


def _order(
    lines: Sequence[Bought], shipping: int, shipping_market: int, merchant_id: UUID, account_id: UUID
) -> Paid:
    goods = sum(x.quantity * x.unit_price - sum(map(sum, x.discounts)) for x in lines)
    borne = sum(market for x in lines for market, _ in x.discounts) + shipping_market
    return Paid(
        merchant_id,
        new_id(),
        new_id(),
        account_id,
        tuple(new_id() for _ in lines),
        tuple(new_id() for _ in lines),
        goods + shipping,
        borne,
    )


async def _write(
    tx: Tx, order: Paid, lines: Sequence[Bought], shipping: int, shipping_market: int, commission: int
) -> None:
    goods = sum(x.quantity * x.unit_price for x in lines)
    discount = goods + shipping - order.payable
    key = (order.merchant_id, order.id, order.account_id)
    await tx.execute(
        "insert into trade (account_id, id, number, goods_amount, discount_amount, shipping_amount, payable, created_at,"
        " expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8::timestamptz, $8::timestamptz + interval '30 minutes')",
        order.account_id,
        order.trade_id,
        new_number(),
        goods,
        discount,
        shipping,
        order.payable,
        tx.now,
    )
    await tx.execute(
        "insert into orders (merchant_id, id, account_id, trade_id, number, merchant_name, goods_amount,"
        " discount_amount, shipping_amount, payable, market_borne, commission, commission_rule, shipping, created_at)"
        " values ($1, $2, $3, $4, $5, '南山果园', $6, $7, $8, $9, $10, $11, 'flat', $12::jsonb, $13)",
        *key,
        order.trade_id,
        new_number(),
        goods,
        discount,
        shipping,
        order.payable,
        order.market_borne,
        commission,
        json.dumps({"key": "flat", "kind": "express", "name": "快递"}),
        tx.now,
    )
    for place, line in enumerate(lines):
        await _write_line(tx, order, place, line)
    if shipping_market:
        await _write_discount(tx, order, None, "free", shipping_market, 0)


async def _write_line(tx: Tx, order: Paid, place: int, line: Bought) -> None:
    amount = line.quantity * line.unit_price
    await tx.execute(
        "insert into order_line (merchant_id, id, order_id, account_id, kind, parent_id, sku_id, product_id, title, specs,"
        " quantity, unit_price, amount, payable) values ($1, $2, $3, $4, $5, $6, $7, $8, '巫山脆李', '{}', $9, $10, $11, $12)",
        order.merchant_id,
        order.lines[place],
        order.id,
        order.account_id,
        line.kind,
        None if line.parent is None else order.lines[line.parent],
        order.skus[place],
        new_id(),
        line.quantity,
        line.unit_price,
        amount,
        amount - sum(map(sum, line.discounts)),
    )
    await tx.execute(
        "insert into stock (merchant_id, sku_id, on_hand, reserved) values ($1, $2, $3, $4)"
        " on conflict (merchant_id, sku_id) do update set on_hand = stock.on_hand + excluded.on_hand,"
        " reserved = stock.reserved + excluded.reserved",
        order.merchant_id,
        order.skus[place],
        line.quantity + SPARE,
        line.quantity,
    )
    for number, (market, merchant) in enumerate(line.discounts):
        await _write_discount(tx, order, order.lines[place], f"r{number}", market, merchant)


async def _write_discount(
    tx: Tx, order: Paid, line_id: UUID | None, rule: str, market: int, merchant: int
) -> None:
    await tx.execute(
        "insert into order_discount (merchant_id, id, order_id, account_id, line_id, plugin, rule, kind, label, amount,"
        " bearer_market, bearer_merchant) values ($1, $2, $3, $4, $5, 'tests', $6, 'tests.cut', '满减',"
        " $7::bigint + $8::bigint, $7, $8)",
        order.merchant_id,
        new_id(),
        order.id,
        order.account_id,
        line_id,
        rule,
        market,
        merchant,
    )
