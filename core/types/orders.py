"""An order as guards see it: what was bought, as it is written at placement."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from core.types.pricing import Quote, QuoteMerchant


class PlacedOrder(msgspec.Struct, frozen=True):
    """One merchant's part of a trade. `commission` is the market's fee in fen, frozen at placement."""

    id: UUID
    merchant_id: UUID
    number: str
    priced: QuoteMerchant
    commission: int
    commission_rule: str


class Placement(msgspec.Struct, frozen=True):
    """A trade being placed: everything a guard needs to claim what the orders use."""

    trade_id: UUID
    account_id: UUID
    orders: tuple[PlacedOrder, ...]
    quote: Quote
    now: datetime

    def rules_of(self, plugin: str) -> dict[str, int]:
        """Rule id -> total discount in fen, for the plugin's rules that were applied."""
        return {e.rule: e.amount for e in self.quote.explain if e.plugin == plugin and e.outcome == "applied"}

    def uses_of(self, plugin: str) -> dict[str, int]:
        """Rule id -> units of its own limits (`Uses`), for the plugin's rules that were applied and use any."""
        return {
            e.rule: e.uses
            for e in self.quote.explain
            if e.plugin == plugin and e.outcome == "applied" and e.uses
        }


class ClosingOrder(msgspec.Struct, frozen=True):
    """One order of a trade that is given up."""

    id: UUID
    merchant_id: UUID


class Closing(msgspec.Struct, frozen=True):
    """Orders that are being closed; `whole_trade` when none of the trade's orders stays."""

    trade_id: UUID
    account_id: UUID
    orders: tuple[ClosingOrder, ...]
    whole_trade: bool
    reason: str


class ParcelDraft(msgspec.Struct, frozen=True):
    """A parcel about to leave: `lines` are (line id, quantity). `place` is where it leaves from, a key that a plugin knows,
    or empty; `aftersale_id` the exchange that it replaces goods for."""

    id: UUID
    merchant_id: UUID
    order_id: UUID
    account_id: UUID
    kind: str
    carrier: str
    waybill_no: str
    lines: tuple[tuple[UUID, int], ...]
    place: str = ""
    aftersale_id: UUID | None = None


class CommissionBase(msgspec.Struct, frozen=True):
    """What the market's commission is reckoned on. `goods_amount` is after discounts the merchant bears and before
    those the market bears; freight is not in it."""

    merchant_id: UUID
    goods_amount: int
    shipping_amount: int


class CommissionTerms(msgspec.Struct, frozen=True):
    """The market's commission on one order, in fen, and the rule it came from."""

    amount: int
    rule: str


class RefundDiscount(msgspec.Struct, frozen=True):
    """What one discount had taken off the units that go back, by bearer. Fen."""

    plugin: str
    rule: str
    market: int
    merchant: int


class RefundLine(msgspec.Struct, frozen=True):
    """Units of one order line that go back; `amount` is what the buyer had paid for them."""

    line_id: UUID
    product_id: UUID
    sku_id: UUID
    quantity: int
    amount: int
    discounts: tuple[RefundDiscount, ...] = ()


class PaidLine(msgspec.Struct, frozen=True):
    """A line of a paid order as it stands: the units that were not refunded, and what the buyer paid for them, in fen."""

    line_id: UUID
    product_id: UUID
    sku_id: UUID
    kind: str
    quantity: int
    amount: int


class KeptLine(PaidLine, frozen=True):
    """A line as a refund leaves it: the units that stay with the order, of which `to_ship` have not left the shop yet."""

    to_ship: int = 0


class RefundDraft(msgspec.Struct, frozen=True):
    """A refund about to be decided. `kept_amount`: what the buyer had paid for the goods that stay; `whole_order`: none
    stay; `origin`: who wants it (`buyer`, `merchant`, `platform`, `system`); `kept`: the lines of which units stay, goods
    and gifts."""

    id: UUID
    merchant_id: UUID
    order_id: UUID
    trade_id: UUID
    account_id: UUID
    lines: tuple[RefundLine, ...]
    shipping_amount: int
    kept_amount: int
    whole_order: bool
    reason: str
    origin: str = "system"
    kept: tuple[KeptLine, ...] = ()


class Deduction(msgspec.Struct, frozen=True):
    """Kept back from a refund because something that came with the goods was used up already, for instance a gift
    coupon. `amount` in fen goes to `bearer`, whose money that was: `merchant` or `market`. Below 0 it is given back: the
    reason for what earlier refunds of the order kept back, under the same label, is gone.

    `cancelled` are (line id, units) of gifts that what stays no longer earns and that have not left the shop: they go with
    the refund, for nothing. What has left is kept back instead."""

    plugin: str
    label: str
    amount: int
    bearer: str
    cancelled: tuple[tuple[UUID, int], ...] = ()


class Refunded(msgspec.Struct, frozen=True):
    """A refund whose money is on its way for certain. `amount` is what the buyer gets."""

    refund: RefundDraft
    amount: int
    deductions: tuple[Deduction, ...] = ()


class Earning(msgspec.Struct, frozen=True):
    """What an account other than buyer, merchant and market earns on one line of a quote (`line` is its key), in fen. The
    merchant bears it; it is frozen at placement and shrinks with refunds of the line. `plugin` is filled in by core."""

    merchant_id: UUID
    line: str
    owner_id: UUID
    amount: int
    label: str
    plugin: str = ""


class Paying(msgspec.Struct, frozen=True):
    """An order whose payment was captured just now."""

    merchant_id: UUID
    order_id: UUID
    trade_id: UUID
    account_id: UUID
    paid_at: datetime


class PayingAnswer(msgspec.Struct, frozen=True):
    """What a plugin wants with a captured order: `hold` it (neither accepted nor shipped until the plugin lifts it; `until`
    is when it expects to), or `refund` all of it."""

    outcome: Literal["hold", "refund"]
    reason: str
    until: datetime | None = None


class PlanLine(msgspec.Struct, frozen=True):
    """Units of an order line for which a place has to be found."""

    line_id: UUID
    product_id: UUID
    sku_id: UUID
    quantity: int
    requires_shipping: bool


class Planning(msgspec.Struct, frozen=True):
    """What has to leave for an order: guessed at placement (`provisional`), settled when the shop accepts it (`final`), and
    for the goods that replace others (`final`, with the case). Region names are empty when nothing is delivered."""

    stage: Literal["provisional", "final"]
    merchant_id: UUID
    order_id: UUID
    account_id: UUID
    lines: tuple[PlanLine, ...]
    province: str
    city: str
    district: str
    aftersale_id: UUID | None = None


class PlannedPart(msgspec.Struct, frozen=True):
    """`quantity` units of a line leave from `place`, a key that the plugin knows."""

    line_id: UUID
    quantity: int
    place: str


class WaybillChange(msgspec.Struct, frozen=True):
    """A parcel that is on its way gets another carrier or waybill number."""

    merchant_id: UUID
    order_id: UUID
    parcel_id: UUID
    account_id: UUID
    kind: str
    carrier: str
    waybill_no: str
    old_carrier: str
    old_waybill_no: str
