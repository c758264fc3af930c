"""From the finished state to the `Quote`."""

from uuid import UUID

from core.kit.ids import ref
from core.pricing.state import Gift, State
from core.types.pricing import Adjustment, Basket, BasketLine, Quote, QuoteLine, QuoteMerchant


def assemble(state: State, basket: Basket) -> Quote:
    """Merchants in the order of their first appearance in `basket`, lines in its order, gifts after their
    lines."""
    by_shop: dict[UUID, list[BasketLine]] = {}
    for line in basket.lines:
        by_shop.setdefault(line.merchant_id, []).append(line)
    merchants = tuple([_merchant(state, shop, lines) for shop, lines in by_shop.items()])
    return Quote(
        merchants=merchants,
        goods_amount=sum(m.goods_amount for m in merchants),
        discount_amount=sum(m.discount_amount for m in merchants),
        shipping_amount=sum(m.shipping_amount for m in merchants),
        payable=sum(m.payable for m in merchants),
        explain=tuple(state.explain),
        problems=tuple(state.problems),
    )


def _merchant(state: State, shop: UUID, lines: list[BasketLine]) -> QuoteMerchant:
    priced: list[QuoteLine] = []
    for line in lines:
        priced.append(_line(line, state.left[line.key], tuple(state.adjustments.get(line.key, ()))))
        priced += [_gift(gift) for gift in sorted(state.gifts.get(line.key, ()))]
    goods_amount = sum(line.amount for line in priced)
    goods_payable = sum(line.payable for line in priced)
    return QuoteMerchant(
        merchant_id=ref(shop),
        goods_amount=goods_amount,
        discount_amount=goods_amount - goods_payable,
        shipping_amount=state.left[shop],
        payable=goods_payable + state.left[shop],
        shipping_options=tuple(state.offers[shop]),
        shipping_adjustments=tuple(state.adjustments.get(shop, ())),
        lines=tuple(priced),
    )


def _line(line: BasketLine, payable: int, adjustments: tuple[Adjustment, ...]) -> QuoteLine:
    return QuoteLine(
        key=line.key,
        kind="sale",
        sku_id=ref(line.merchant_id, line.sku_id),
        product_id=ref(line.merchant_id, line.product_id),
        title=line.title,
        specs=line.specs,
        quantity=line.quantity,
        unit_price=line.unit_price,
        amount=line.amount,
        payable=payable,
        adjustments=adjustments,
        requires_shipping=line.requires_shipping,
    )


def _gift(gift: Gift) -> QuoteLine:
    line = gift.line
    return QuoteLine(
        key=gift.key,
        kind="gift",
        sku_id=ref(line.merchant_id, line.sku_id),
        product_id=ref(line.merchant_id, line.product_id),
        title=line.title,
        specs=line.specs,
        quantity=line.quantity,
        unit_price=0,
        amount=0,
        payable=0,
        parent=gift.parent,
        requires_shipping=line.requires_shipping,
    )
