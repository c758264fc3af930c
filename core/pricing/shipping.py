"""The shipping phase: what each merchant's parcel costs by every option, and which one is taken."""

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from core.kit.ids import ref
from core.pricing import watch
from core.pricing.state import State
from core.pricing.words import say
from core.types.pricing import Explanation, LineView, OfferedShipping, Problem, ShippingOption

ARRANGED = "core:arranged"
SERVICE = "core:service"


def ship(state: State, options: Sequence[ShippingOption], *, arranged: bool) -> None:
    """Evaluate fees on the goods as discounted and select an option per merchant: the buyer's, else the
    cheapest.

    A merchant without goods to ship gets `core:service`. If nobody offers shipping at all and `arranged` is
    set, the merchant arranges it free of charge; otherwise a merchant without an option is a problem
    `not_deliverable`.
    """
    offered: dict[UUID, list[ShippingOption]] = {}
    for option in options:
        if not isinstance(option, ShippingOption) or not isinstance(option.key, str):
            _refuse(state, type(option).__name__, "")
            continue
        offered.setdefault(option.merchant_id, []).append(option)
    for shop in sorted(state.by_shop):
        lines = list(state.shop_lines(shop))
        needing = [line for line in lines if line.line.requires_shipping]
        if not needing:
            found = [OfferedShipping(SERVICE, "service", "无需配送", 0, "", selected=False)]
        elif not options and arranged:
            found = [OfferedShipping(ARRANGED, "express", "商家配送", 0, "", selected=False)]
        else:
            goods_amount = sum(line.amount for line in lines)
            found = _evaluate(state, offered.get(shop, ()), goods_amount, needing)
        _select(state, shop, found)


def _evaluate(
    state: State, options: Sequence[ShippingOption], goods_amount: int, lines: Sequence[LineView]
) -> list[OfferedShipping]:
    """The options with their fees, cheapest first; one whose terms fail is left out and explained."""
    found: list[OfferedShipping] = []
    for option in options:
        fee: object = None
        # A plugin's fault must not stop a purchase.
        with suppress(Exception, watch.EndlessError):
            fee = watch.run(lambda of: of.terms.fee(goods_amount, lines), option)
        if type(fee) is int and fee >= 0:
            found.append(
                OfferedShipping(option.key, option.kind, option.name, fee, option.promise, selected=False)
            )
        else:
            _refuse(state, option.key, option.kind)
    found.sort(key=lambda offer: (offer.fee, offer.key, offer.kind, offer.name))
    first: dict[str, OfferedShipping] = {}
    for offer in found:
        first.setdefault(offer.key, offer)
    return list(first.values())


def _refuse(state: State, key: str, kind: str) -> None:
    why, plugin = say("bad_terms"), key.partition(":")[0]
    state.explain.append(
        Explanation(plugin, key, kind, "shipping", "refused", why.en, 0, why.code, reason_zh=why.zh)
    )


def _select(state: State, shop: UUID, found: list[OfferedShipping]) -> None:
    wanted = state.basket.shipping.get(shop)
    at = next((i for i, offer in enumerate(found) if offer.key == wanted), None)
    merchant_id = ref(shop)
    if not found:
        gone = Problem(
            "not_deliverable",
            "This shop does not deliver to the address.",
            merchant_id=merchant_id,
            zh="该店铺不配送到此地址。",
        )
        state.problems.append(gone)
    elif wanted is not None and at is None:
        gone = Problem(
            "shipping_option_gone",
            "The chosen way of shipping is no longer offered; choose another.",
            merchant_id=merchant_id,
            zh="所选配送方式已不可用，请重新选择。",
        )
        state.problems.append(gone)
    fee = 0
    if found:
        offer = found[at or 0]
        fee = offer.fee
        found[at or 0] = OfferedShipping(offer.key, offer.kind, offer.name, fee, offer.promise, selected=True)
    state.offers[shop] = found
    state.fees[shop] = fee
    state.left[shop] = fee
