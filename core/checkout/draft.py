"""A quote turned into the rows of a trade and its orders. Pure."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from core.kit.crypto import Vault
from core.kit.ids import new_id, new_number, parse_pair, parse_ref, ref
from core.orders.address import Address, seal
from core.orders.schemas import DiscountOut, LineOut, MerchantName, OrderOut, ShippingOut, TradeOut
from core.plugin import CommissionProvider
from core.types.orders import (
    CommissionBase,
    CommissionTerms,
    PlacedOrder,
    Placement,
    PlanLine,
    Planning,
)
from core.types.pricing import Adjustment, BasketLine, Bearer, Quote, QuoteLine, QuoteMerchant


class LineRow(msgspec.Struct, frozen=True):
    """A row of `order_line` about to be written. `key` is the line's in the quote."""

    key: str
    merchant_id: UUID
    id: UUID
    order_id: UUID
    kind: str
    sku_id: UUID
    product_id: UUID
    parent_id: UUID | None
    title: str
    specs: tuple[str, ...]
    image_url: str | None
    quantity: int
    unit_price: int
    amount: int
    payable: int
    requires_shipping: bool
    source: Mapping[str, str] | None
    activity_id: UUID | None


class DiscountRow(msgspec.Struct, frozen=True):
    """A row of `order_discount` about to be written; `line_id` is null for a shipping discount."""

    merchant_id: UUID
    id: UUID
    order_id: UUID
    line_id: UUID | None
    plugin: str
    rule: str
    kind: str
    label: str
    activity_id: UUID | None
    amount: int
    bearer_market: int
    bearer_merchant: int


class OrderRow(msgspec.Struct, frozen=True):
    """A row of `orders` about to be written; `address` and `phone_index` are hex."""

    merchant_id: UUID
    id: UUID
    number: str
    merchant_name: str
    goods_amount: int
    discount_amount: int
    shipping_amount: int
    payable: int
    market_borne: int
    commission: int
    commission_rule: str
    address: str | None
    province: str
    city: str
    district: str
    phone_index: str | None
    shipping: ShippingOut
    remark: str
    contributors: tuple[str, ...]
    earnings: int = 0


class Draft(msgspec.Struct, frozen=True):
    """Everything that placing writes."""

    placement: Placement
    number: str
    expires_at: datetime
    orders: tuple[OrderRow, ...]
    lines: tuple[LineRow, ...]
    discounts: tuple[DiscountRow, ...]

    def wanted(self) -> list[tuple[UUID, UUID, int, UUID]]:
        """(merchant, sku, quantity, id of the stock move), one row a SKU, in key order."""
        total: dict[tuple[UUID, UUID], int] = {}
        for line in self.lines:
            key = (line.merchant_id, line.sku_id)
            total[key] = total.get(key, 0) + line.quantity
        return [(*key, quantity, new_id()) for key, quantity in sorted(total.items())]


class Buyer(msgspec.Struct, frozen=True):
    """Who buys, and where it goes; no address when nothing is to be delivered."""

    account_id: UUID
    address: Address | None


def make_draft(
    vault: Vault,
    buyer: Buyer,
    quote: Quote,
    lines: Mapping[str, BasketLine],
    names: Mapping[UUID, str],
    remarks: Mapping[str, str],
    commission: CommissionProvider | None,
    now: datetime,
    expires_at: datetime,
) -> Draft:
    """The rows for `quote`. `lines` are the basket's lines by key, `names` the merchants' names."""
    orders, order_lines, discounts, placed = [], [], [], []
    contributors = tuple(sorted(quote.contributors))
    for part in quote.merchants:
        merchant_id = parse_ref(part.merchant_id)
        order_id = new_id()
        rows, cuts = _lines(part, merchant_id, order_id, lines)
        terms = _commission(commission, merchant_id, part)
        number = new_number()
        orders.append(
            _order(
                vault,
                buyer,
                part,
                merchant_id,
                order_id,
                number,
                names[merchant_id],
                terms,
                remarks.get(part.merchant_id, ""),
                contributors,
            )
        )
        order_lines += rows
        discounts += cuts
        placed.append(PlacedOrder(order_id, merchant_id, number, part, terms.amount, terms.rule))
    placement = Placement(new_id(), buyer.account_id, tuple(placed), quote, now)
    return Draft(placement, new_number(), expires_at, tuple(orders), tuple(order_lines), tuple(discounts))


def _order(
    vault: Vault,
    buyer: Buyer,
    part: QuoteMerchant,
    merchant_id: UUID,
    order_id: UUID,
    number: str,
    name: str,
    terms: CommissionTerms,
    remark: str,
    contributors: tuple[str, ...],
) -> OrderRow:
    chosen = next((o for o in part.shipping_options if o.selected), None)
    address = buyer.address
    return OrderRow(
        merchant_id,
        order_id,
        number,
        name,
        part.goods_amount,
        part.discount_amount,
        part.shipping_amount,
        part.payable,
        _borne(part)[0],
        terms.amount,
        terms.rule,
        seal(vault, order_id, address).hex() if address else None,
        address.province if address else "",
        address.city if address else "",
        address.district if address else "",
        vault.blind(address.phone).hex() if address else None,
        ShippingOut(chosen.key, chosen.kind, chosen.name) if chosen else ShippingOut(),
        remark,
        contributors,
    )


def _lines(
    part: QuoteMerchant, merchant_id: UUID, order_id: UUID, basket: Mapping[str, BasketLine]
) -> tuple[list[LineRow], list[DiscountRow]]:
    ids = {line.key: new_id() for line in part.lines}
    rows, cuts = [], []
    for line in part.lines:
        source = basket.get(line.key)
        rows.append(
            LineRow(
                line.key,
                merchant_id,
                ids[line.key],
                order_id,
                line.kind,
                parse_pair(line.sku_id)[1],
                parse_pair(line.product_id)[1],
                ids[line.parent] if line.parent else None,
                line.title,
                line.specs,
                source.image_url if source else None,
                line.quantity,
                line.unit_price,
                line.amount,
                line.payable,
                line.requires_shipping,
                source.source if source else None,
                _activity(line),
            )
        )
        cuts += [_cut(merchant_id, order_id, ids[line.key], a) for a in line.adjustments]
    cuts += [_cut(merchant_id, order_id, None, a) for a in part.shipping_adjustments]
    return rows, cuts


def _activity(line: QuoteLine) -> UUID | None:
    """The activity that a line was bought in: the first that changed its price."""
    found = next((cut.activity_id for cut in line.adjustments if cut.activity_id), None)
    return parse_ref(found) if found else None


def _cut(merchant_id: UUID, order_id: UUID, line_id: UUID | None, cut: Adjustment) -> DiscountRow:
    return DiscountRow(
        merchant_id,
        new_id(),
        order_id,
        line_id,
        cut.plugin,
        cut.rule,
        cut.kind,
        cut.label,
        parse_ref(cut.activity_id) if cut.activity_id else None,
        cut.amount,
        cut.bearer.market,
        cut.bearer.merchant,
    )


def _borne(part: QuoteMerchant) -> tuple[int, int]:
    """(all discounts the market bears, goods discounts the merchant bears), in fen."""
    goods = [a.bearer for line in part.lines for a in line.adjustments]
    market = sum(b.market for b in goods) + sum(a.bearer.market for a in part.shipping_adjustments)
    return market, sum(b.merchant for b in goods)


def _commission(
    provider: CommissionProvider | None, merchant_id: UUID, part: QuoteMerchant
) -> CommissionTerms:
    """Frozen here: on goods after discounts the merchant bears, before those the market bears; freight off."""
    if provider is None:
        return CommissionTerms(0, "none")
    terms = provider.commission(
        CommissionBase(merchant_id, part.goods_amount - _borne(part)[1], part.shipping_amount)
    )
    return CommissionTerms(max(0, min(terms.amount, part.payable + _borne(part)[0])), terms.rule)


def plannings(draft: Draft) -> list[Planning]:
    """For each order, what will have to leave for it."""
    return [
        Planning(
            "provisional",
            order.merchant_id,
            order.id,
            draft.placement.account_id,
            tuple(
                PlanLine(x.id, x.product_id, x.sku_id, x.quantity, x.requires_shipping)
                for x in draft.lines
                if x.order_id == order.id
            ),
            order.province,
            order.city,
            order.district,
        )
        for order in draft.orders
    ]


def shown(draft: Draft, buyer: Buyer) -> TradeOut:
    """The trade as its buyer sees it right after placing."""
    quote, placement = draft.placement.quote, draft.placement
    return TradeOut(
        id=ref(placement.trade_id),
        number=draft.number,
        status="unpaid",
        goods_amount=quote.goods_amount,
        discount_amount=quote.discount_amount,
        shipping_amount=quote.shipping_amount,
        payable=quote.payable,
        created_at=placement.now,
        paid_at=None,
        expires_at=draft.expires_at,
        closed_at=None,
        orders=[_shown_order(draft, row, buyer.address) for row in draft.orders],
    )


def _shown_order(draft: Draft, row: OrderRow, address: Address | None) -> OrderOut:
    def outside(line_id: UUID | None) -> str | None:
        return ref(row.merchant_id, line_id) if line_id else None

    lines = [
        LineOut(
            ref(x.merchant_id, x.id),
            x.kind,
            ref(x.merchant_id, x.sku_id),
            ref(x.merchant_id, x.product_id),
            x.title,
            list(x.specs),
            x.image_url,
            x.quantity,
            x.unit_price,
            x.amount,
            x.payable,
            0,
            0,
            outside(x.parent_id),
        )
        for x in draft.lines
        if x.order_id == row.id
    ]
    discounts = [
        DiscountOut(
            outside(x.line_id),
            x.plugin,
            x.kind,
            x.label,
            x.amount,
            Bearer(x.bearer_market, x.bearer_merchant),
            ref(x.activity_id) if x.activity_id else None,
        )
        for x in draft.discounts
        if x.order_id == row.id
    ]
    return OrderOut(
        id=ref(row.merchant_id, row.id),
        number=row.number,
        trade_id=ref(draft.placement.trade_id),
        merchant=MerchantName(ref(row.merchant_id), row.merchant_name),
        status="unpaid",
        holds=[],
        goods_amount=row.goods_amount,
        discount_amount=row.discount_amount,
        shipping_amount=row.shipping_amount,
        payable=row.payable,
        refunded_amount=0,
        lines=lines,
        discounts=discounts,
        parcels=[],
        shipping=row.shipping,
        remark=row.remark,
        address=address,
        created_at=draft.placement.now,
        paid_at=None,
        accepted_at=None,
        shipped_at=None,
        completed_at=None,
        closed_at=None,
    )
