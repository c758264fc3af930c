"""How a placed trade's price came about, told as it was frozen at placement."""

import msgspec

from core.db.tx import Tx
from core.kit.errors import NotFound
from core.kit.ids import parse_ref
from core.orders import service
from core.orders.repository import TradeFilter
from core.orders.schemas import DiscountOut, OrderOut, TradeOut
from core.pricing.text import Language, tell
from core.types.pricing import Adjustment, Explanation, OfferedShipping, Quote, QuoteLine, QuoteMerchant
from core.types.scope import Audience


async def explain(tx: Tx, which: TradeFilter, audience: Audience, language: Language) -> str:
    """The trade that `which` names in words: every line, every discount and its bearer, and the rules that were considered.
    Raises `NotFound`."""
    page = await service.trade_page(tx, which, audience, 1)
    if not page.items:
        raise NotFound("No such trade.")
    trade = page.items[0]
    considered = await tx.fetchval("select explain::text from trade where id = $1", parse_ref(trade.id))
    rules = msgspec.json.decode(considered or "[]", type=tuple[Explanation, ...])
    names = {order.merchant.id: order.merchant.name for order in trade.orders}
    return tell(_as_quoted(trade, rules), names, language)


def _as_quoted(trade: TradeOut, rules: tuple[Explanation, ...]) -> Quote:
    return Quote(
        merchants=tuple([_merchant(order) for order in trade.orders]),
        goods_amount=trade.goods_amount,
        discount_amount=trade.discount_amount,
        shipping_amount=trade.shipping_amount,
        payable=trade.payable,
        explain=rules,
    )


def _merchant(order: OrderOut) -> QuoteMerchant:
    cuts: dict[str | None, list[Adjustment]] = {}
    for discount in order.discounts:
        cuts.setdefault(discount.line_id, []).append(_adjustment(discount))
    freight = tuple(cuts.get(None, ()))
    way = order.shipping
    fee = order.shipping_amount + sum(cut.amount for cut in freight)
    return QuoteMerchant(
        merchant_id=order.merchant.id,
        goods_amount=order.goods_amount,
        discount_amount=order.discount_amount,
        shipping_amount=order.shipping_amount,
        payable=order.payable,
        shipping_options=(OfferedShipping(way.key, way.kind, way.name, fee, "", selected=True),)
        if way.key
        else (),
        shipping_adjustments=freight,
        lines=tuple(
            [
                QuoteLine(
                    key=line.id,
                    kind=line.kind,
                    sku_id=line.sku_id,
                    product_id=line.product_id,
                    title=line.title,
                    specs=tuple(line.specs),
                    quantity=line.quantity,
                    unit_price=line.unit_price,
                    amount=line.amount,
                    payable=line.payable,
                    adjustments=tuple(cuts.get(line.id, ())),
                    parent=line.parent_id,
                )
                for line in order.lines
            ]
        ),
    )


def _adjustment(cut: DiscountOut) -> Adjustment:
    return Adjustment(cut.plugin, "", cut.kind, cut.label, cut.amount, cut.bearer, cut.activity_id)
