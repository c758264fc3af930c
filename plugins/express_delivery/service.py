"""What a delivery costs, shop by shop."""

from collections.abc import Sequence
from uuid import UUID

from core.api import Basket, FlatFee, NotFound, Principal, ShippingOption, Tx
from plugins.express_delivery import repository
from plugins.express_delivery.config import ExpressDeliveryConfig
from plugins.express_delivery.remembered import RememberedTerms
from plugins.express_delivery.repository import Terms
from plugins.express_delivery.schemas import SettingsIn, SettingsOut

KEY = "express_delivery:flat"


async def options(tx: Tx, basket: Basket, remembered: RememberedTerms) -> Sequence[ShippingOption]:
    """One option for each shop of the basket with something to send; a statement only for shops not remembered."""
    shops = sorted({line.merchant_id for line in basket.lines if line.requires_shipping})
    if not shops:
        return ()
    config = tx.config(ExpressDeliveryConfig)
    default = Terms(config.default_fee, config.default_free_from)
    own = await remembered.of(tx, shops)
    return [_option(shop, own.get(shop, default), config.promise) for shop in shops]


def _option(shop: UUID, terms: Terms, promise: str) -> ShippingOption:
    return ShippingOption(shop, KEY, "express", "快递", FlatFee(terms.fee, terms.free_from), promise)


async def settings(tx: Tx, me: Principal) -> SettingsOut:
    """The terms that hold for the shop of `me`. Raises `NotFound` without a shop."""
    config = tx.config(ExpressDeliveryConfig)
    shop = _shop(me)
    own = (await repository.terms(tx, [shop])).get(shop)
    if own is None:
        return SettingsOut(config.default_fee, config.default_free_from, config.promise, own=False)
    return SettingsOut(own.fee, own.free_from, config.promise, own=True)


async def save(tx: Tx, me: Principal, data: SettingsIn) -> SettingsOut:
    """Set the terms of the shop of `me`, for quotes from now on (in other processes within 5 seconds).

    Raises `NotFound` without a shop.
    """
    shop, running = _shop(me), tx.snapshot.active["express_delivery"]
    await repository.save(tx, shop, Terms(data.fee, data.free_from))

    async def forget() -> None:
        if remembered := getattr(running, "remembered", None):
            remembered.forget(shop)

    tx.after_commit(forget)
    return SettingsOut(data.fee, data.free_from, tx.config(ExpressDeliveryConfig).promise, own=True)


def _shop(me: Principal) -> UUID:
    if me.merchant_id is None:
        raise NotFound("This sign-in belongs to no shop.")
    return me.merchant_id
