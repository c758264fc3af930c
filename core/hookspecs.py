"""Every flow hook, in the order of the flow. The hook reference `docs/hooks.md` is generated from this file.

The name tells the kind: `...ing` is a guard inside the transaction, a past tense is an effect after it, a noun is a
load. See `core.hooks` for what each kind may do.
"""

from collections.abc import Sequence

from core.db.tx import Tx
from core.hooks import effect, guard, load
from core.types.events import AccountEvent, MerchantEvent, OrderEvent, ParcelEvent, ProductsEvent, TradeEvent
from core.types.orders import Closing, ParcelDraft, Placement
from core.types.pricing import Basket, PriceRule, ShippingOption


@load
async def price_rules(tx: Tx, basket: Basket) -> Sequence[PriceRule]:  # type: ignore[empty-body]
    """The plugin's rules that may change the price of this basket.

    At most one statement, and only for what the buyer owns; rules that hold for everybody are kept frozen in the
    process. Runs for the cart page, the quote and again inside the transaction of placement.

    Example: `plugins/coupons` returns a rule for each coupon the buyer holds.
    """


@load
async def shipping_options(tx: Tx, basket: Basket) -> Sequence[ShippingOption]:  # type: ignore[empty-body]
    """Ways to ship each merchant's lines to `basket.region`, with pure fee terms. At most one statement.

    Example: `plugins/express_delivery` returns a flat fee per shop.
    """


@guard(veto=True)
async def order_placing(tx: Tx, placement: Placement) -> None:
    """Claim what the placed orders use: quota, coupon, seat. Inside the transaction that places the trade, after its
    rows are written. Called only for plugins with an applied rule in the quote.

    Raise `core.api.Conflict` to refuse the whole placement.

    Example: `plugins/coupons` marks the applied coupons as used.
    """


@guard(veto=False, winds_down=True)
async def order_closing(tx: Tx, closing: Closing) -> None:
    """Give back what the orders had claimed. Inside the transaction that closes them, once per order.

    Example: `plugins/coupons` returns the coupons of a trade that was never paid.
    """


@guard(veto=True)
async def parcel_shipping(tx: Tx, parcel: ParcelDraft) -> None:
    """A parcel is about to leave. Raise `core.api.Invalid` or `Conflict` to refuse it.

    Example: `plugins/express_delivery` refuses an unknown carrier and a waybill number that cannot be one.
    """


@effect
async def trade_placed(tx: Tx, event: TradeEvent) -> None:
    """A trade was placed and awaits payment."""


@effect
async def order_paid(tx: Tx, event: OrderEvent) -> None:
    """An order's payment was captured. Once per order.

    Example: `plugins/coupons` counts the orders that a template brought.
    """


@effect
async def order_accepted(tx: Tx, event: OrderEvent) -> None:
    """The merchant took the order on."""


@effect
async def parcel_shipped(tx: Tx, event: ParcelEvent) -> None:
    """A parcel left the merchant."""


@effect
async def order_completed(tx: Tx, event: OrderEvent) -> None:
    """The buyer has what was bought; the after-sales window starts."""


@effect
async def order_released(tx: Tx, event: OrderEvent) -> None:
    """The order's money went from frozen to payable."""


@effect
async def order_closed(tx: Tx, event: OrderEvent) -> None:
    """An order was given up before it was fulfilled."""


@effect
async def trade_closed(tx: Tx, event: TradeEvent) -> None:
    """A trade was given up before it was paid."""


@effect
async def merchant_changed(tx: Tx, event: MerchantEvent) -> None:
    """A merchant applied, was approved, suspended or reopened."""


@effect
async def product_changed(tx: Tx, event: ProductsEvent) -> None:
    """Products were created, changed, listed or delisted."""


@effect
async def account_registered(tx: Tx, event: AccountEvent) -> None:
    """Somebody registered an account."""
