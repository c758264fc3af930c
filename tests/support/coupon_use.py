"""Coupons in hand, and a purchase that is carried through the hooks which coupons implement."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from core.api import (
    MARKET_ID,
    Basket,
    BasketLine,
    Closing,
    ClosingOrder,
    FlatFee,
    OrderEvent,
    PlacedOrder,
    Placement,
    RefundDiscount,
    RefundDraft,
    Refunded,
    RefundEvent,
    RefundLine,
    ShippingOption,
    hookspecs,
    new_id,
    parse_ref,
    ref,
)
from core.pricing.engine import quote as price
from core.types import scope as scopes
from core.types.pricing import Quote, QuoteLine
from core.types.scope import SYSTEM
from plugins.coupons.rules import Terms

_TEMPLATE = """
insert into coupons_template (merchant_id, id, terms, claim, total, per_account, valid_days, claimed, created_at)
values ($1, $2, $3::jsonb, 'open', 100, 100, 7, 0, $4)
"""
_COUPON = """
with t as (update coupons_template set claimed = claimed + 1 where merchant_id = $3 and id = $4 returning claimed)
insert into coupons_coupon (account_id, id, merchant_id, template_id, ordinal, terms, valid_from, expires_at, claimed_at)
select $1, $2, $3, $4, t.claimed, $5::jsonb, $6, $7, $8 from t
"""


async def template(runtime: Any, merchant_id: UUID = MARKET_ID, **terms: Any) -> tuple[UUID, UUID]:
    """A template's key; by default 5 yuan off everything, borne by its issuer."""
    key = (merchant_id, new_id())
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(_TEMPLATE, *key, _terms(merchant_id, terms), tx.now)
    return key


async def give(
    runtime: Any, account_id: UUID, merchant_id: UUID = MARKET_ID, *, of: tuple[UUID, UUID] | None = None,
    starts: timedelta = timedelta(0), ends: timedelta = timedelta(days=7), **terms: Any,
) -> str:  # fmt: skip
    """A coupon's id, of a template of its own unless it is one `of` another."""
    key = of or await template(runtime, merchant_id, **terms)
    coupon_id = new_id()
    async with runtime.tx(SYSTEM) as tx:
        told = _terms(key[0], terms)
        await tx.execute(_COUPON, account_id, coupon_id, *key, told, tx.now + starts, tx.now + ends, tx.now)
    return ref(coupon_id)


def _terms(merchant_id: UUID, more: dict[str, Any]) -> str:
    share = 0 if merchant_id == MARKET_ID else 10_000
    given = {"name": "券", "kind": "amount", "scope": "all", "amount": 500, "merchant_share_bp": share}
    return msgspec.json.encode(Terms(**{**given, **more})).decode()


async def states(runtime: Any, account_id: UUID) -> dict[str, str]:
    """Coupon id -> status as the buyer sees it."""
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch("select * from coupons_coupon where account_id = $1", account_id)
        return {
            ref(r["id"]): "expired" if r["status"] == "unused" and r["expires_at"] <= tx.now else r["status"]
            for r in rows
        }


async def uses(runtime: Any, coupon: str) -> dict[UUID, tuple[str, int, int, int, int]]:
    """Order -> (status, market, merchant, back of the market's, back of the merchants')."""
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch("select * from coupons_use where coupon_id = $1", parse_ref(coupon))
    return {
        r["order_id"]: (r["status"], r["market"], r["merchant"], r["back_market"], r["back_merchant"])
        for r in rows
    }


async def counted(runtime: Any, key: tuple[UUID, UUID]) -> tuple[int, int, int, int]:
    """A template's statistics: coupons used, orders brought, cost of the market and of merchants."""
    async with runtime.tx(SYSTEM) as tx:
        sql = "select * from coupons_template where merchant_id = $1 and id = $2"
        row = await tx.fetchrow(sql, *key)
    return row["used"], row["orders_brought"], row["cost_market"], row["cost_merchant"]


class Purchase:
    """A purchase of goods in some shops, by default one line of 100 yuan in each."""

    def __init__(
        self, runtime: Any, account_id: UUID, shops: Sequence[UUID], *, lines: int = 1, freight: int = 0
    ) -> None:
        self.runtime, self.account_id, self.shops, self.freight = runtime, account_id, list(shops), freight
        self.trade_id = new_id()
        self.orders = {shop: new_id() for shop in shops}
        self.lines = [
            BasketLine(ref(shop, sku), shop, sku, sku, 1, 10_000)
            for shop in shops
            for sku in [new_id() for _ in range(lines)]
        ]
        self.placed: Quote | None = None

    def again(self) -> "Purchase":
        """Another purchase in the same shops."""
        return Purchase(self.runtime, self.account_id, self.shops, freight=self.freight)

    def basket(self, now: Any, options: dict[str, Any], *, holding: bool = True) -> Basket:
        """The basket of somebody who is known to hold coupons, or not."""
        holdings = frozenset(["coupons"] if holding else [])
        return Basket(tuple(self.lines), self.account_id, now, options=options, holdings=holdings)

    async def quote(self, *, holding: bool = True, **coupons: Any) -> Quote:
        """The price with what the coupons' own hook offers."""
        async with self.runtime.tx(scopes.buyer(self.account_id)) as tx:
            basket = self.basket(tx.now, {"coupons": coupons} if coupons else {}, holding=holding)
            rules = await self.hook(tx, hookspecs.price_rules)(tx, basket)
            ways = [ShippingOption(s, "t:flat", "express", "快递", FlatFee(self.freight)) for s in self.shops]
            return price(basket, rules, ways, tx.snapshot.matrix)

    async def place(self, quote: Quote | None = None, **coupons: Any) -> Quote:
        """Place it at this price."""
        self.placed = quote or await self.quote(**coupons)
        async with self.runtime.tx(SYSTEM) as tx:
            orders = tuple(
                PlacedOrder(self.orders[parse_ref(m.merchant_id)], parse_ref(m.merchant_id), "n", m, 0, "")
                for m in self.placed.merchants
            )
            placement = Placement(self.trade_id, self.account_id, orders, self.placed, tx.now)
            await self.hook(tx, hookspecs.order_placing)(tx, placement)
        return self.placed

    async def close(self, *shops: UUID) -> None:
        """Give orders up, or all."""
        async with self.runtime.tx(SYSTEM) as tx:
            await self.closing(tx, *shops)

    async def closing(self, tx: Any, *shops: UUID) -> None:
        """The same in a transaction."""
        orders = tuple(ClosingOrder(self.orders[shop], shop) for shop in shops or self.shops)
        whole = len(orders) == len(self.shops)
        closing = Closing(self.trade_id, self.account_id, orders, whole, "unpaid")
        await self.hook(tx, hookspecs.order_closing)(tx, closing)

    async def pay(self, *shops: UUID) -> None:
        """Deliver the event of each order's payment."""
        for shop in shops or self.shops:
            event = OrderEvent(shop, self.orders[shop], self.trade_id, self.account_id)
            async with self.runtime.tx(SYSTEM) as tx:
                await self.hook(tx, hookspecs.order_paid)(tx, event)

    def refund(self, shop: UUID, *lines: int, whole: bool = False) -> RefundDraft:
        """A refund of these lines of a shop's order (by place), or of all of it."""
        assert self.placed is not None
        (part,) = [m for m in self.placed.merchants if parse_ref(m.merchant_id) == shop]
        back = [line for n, line in enumerate(part.lines) if whole or n in lines]
        kept = sum(line.payable for line in part.lines) - sum(line.payable for line in back)
        return RefundDraft(
            new_id(), shop, self.orders[shop], self.trade_id, self.account_id,
            tuple(_back(line) for line in back), part.shipping_amount if whole else 0, kept, whole, "",
        )  # fmt: skip

    async def settle(self, refund: RefundDraft) -> None:
        """Send the money back."""
        async with self.runtime.tx(SYSTEM) as tx:
            await self.settling(tx, refund)

    async def settling(self, tx: Any, refund: RefundDraft) -> None:
        """The same in a transaction."""
        amount = sum(line.amount for line in refund.lines) + refund.shipping_amount
        await self.hook(tx, hookspecs.refund_settling)(tx, Refunded(refund, amount))

    async def done(self, refund: RefundDraft) -> None:
        """Deliver the event that it was."""
        event = RefundEvent(
            refund.merchant_id, refund.order_id, refund.trade_id, refund.account_id, refund.id,
            refund.whole_order,
        )  # fmt: skip
        async with self.runtime.tx(SYSTEM) as tx:
            await self.hook(tx, hookspecs.refund_done)(tx, event)

    def hook(self, tx: Any, spec: Any) -> Any:
        """What the plugin made of a hook."""
        return dict(tx.hooks.of(spec))["coupons"]


def _back(line: QuoteLine) -> RefundLine:
    discounts = tuple(
        RefundDiscount(a.plugin, a.rule, a.bearer.market, a.bearer.merchant) for a in line.adjustments
    )
    return RefundLine(new_id(), new_id(), new_id(), line.quantity, line.payable, discounts)


def applied(quote: Quote) -> set[str]:
    """Coupons that apply."""
    return {e.rule for e in quote.explain if e.outcome == "applied"}


def refused(quote: Quote) -> dict[str, str]:
    """Coupon -> why not."""
    return {e.rule: e.code for e in quote.explain if e.outcome == "refused"}
