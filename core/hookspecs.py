"""Every flow hook, in the order of the flow. The hook reference `docs/hooks.md` is generated from this file.

The name tells the kind: `...ing` is a guard inside the transaction, a past tense is an effect after it, a noun is a
load. See `core.hooks` for what each kind may do.
"""

from collections.abc import Sequence
from datetime import datetime

from core.db.tx import Tx
from core.hooks import effect, guard, load
from core.types.browse import Badge, BadgePage
from core.types.events import (
    AccountEvent,
    AftersaleEvent,
    MerchantEvent,
    OrderEvent,
    ParcelEvent,
    PayoutEvent,
    ProductsEvent,
    RefundEvent,
    TradeEvent,
    VisitEvent,
)
from core.types.identity import Merging
from core.types.orders import (
    Closing,
    Deduction,
    Earning,
    ParcelDraft,
    Paying,
    PayingAnswer,
    Placement,
    PlannedPart,
    Planning,
    RefundDraft,
    Refunded,
    WaybillChange,
)
from core.types.pricing import Basket, PriceRule, ShippingOption


@load
async def product_badges(tx: Tx, page: BadgePage) -> Sequence[Badge]:  # type: ignore[empty-body]
    """What a page of products shows on top of them, for this viewer: a coupon, a flash price. Badges never change the price
    that the page is sorted by.

    Runs for each list and each product's page, without a transaction: answer from memory, or with one statement for the
    whole page, none for each product. What only the viewer may read is read in the viewer's scope (`tx.enter`).

    Example: `plugins/coupons` names the coupons that can be claimed for a product.
    """


@guard(veto=False)
async def account_merging(tx: Tx, merging: Merging) -> None:
    """A guest signed in: what the guest had goes to the account. Inside the transaction that signs in.

    Example: core moves the guest's cart.
    """


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


@load
async def earnings(tx: Tx, placement: Placement) -> Sequence[Earning]:  # type: ignore[empty-body]
    """Who earns what on the orders that are placed, besides their merchants and the market; the merchant bears it. Frozen
    with the order, paid out once its money is released, taken back in proportion by refunds. Of all that plugins answer for
    an order, at most what is left after the market's fee is kept, in the order of plugin names. At most one statement.

    Example: a plugin for promoters answers what the one who brought the buyer gets.
    """


@guard(veto=True)
async def order_placing(tx: Tx, placement: Placement) -> datetime | None:
    """Claim what the placed orders use: quota, coupon, seat. Inside the transaction that places the trade, after its
    rows are written. Called only for plugins with an applied rule in the quote.

    Answer nothing, or the time by which the trade has to be paid: of all answers and the market's own time the earliest
    counts. Raise `core.api.Conflict` to refuse the whole placement.

    Example: `plugins/coupons` marks the applied coupons as used.
    """


@guard(veto=False)
async def parcel_planning(tx: Tx, planning: Planning) -> Sequence[PlannedPart]:  # type: ignore[empty-body]
    """Which of the plugin's places ships which units. Plugins are asked in the order of their names, each for what those
    before it left; what nobody answers for ships from the shop itself.

    Example: a plugin for warehouses names the nearest one that has the goods.
    """


@guard(veto=False, winds_down=True, contributors=True)
async def order_closing(tx: Tx, closing: Closing) -> None:
    """Give back what the orders had claimed. Inside the transaction that closes them, once per trade, whichever of its
    orders the plugin had a part in.

    Example: `plugins/coupons` returns the coupons of a trade that was never paid.
    """


@guard(veto=False, winds_down=True, contributors=True)
async def order_paying(tx: Tx, paying: Paying) -> PayingAnswer | None:
    """An order's payment was captured; inside the transaction that captures it. Answer nothing, or that the order is to be
    held or refunded. Each plugin runs in a savepoint; one that fails holds the order, with the reason, and is asked again.

    Example: a plugin for group-buying holds the order until the group is full.
    """


@guard(veto=True)
async def parcel_shipping(tx: Tx, parcel: ParcelDraft) -> None:
    """A parcel is about to leave. Raise `core.api.Invalid` or `Conflict` to refuse it.

    Example: `plugins/express_delivery` refuses an unknown carrier and a waybill number that cannot be one.
    """


@guard(veto=True)
async def parcel_changing(tx: Tx, change: WaybillChange) -> None:
    """A parcel on its way is about to get another carrier or waybill number. Raise `core.api.Invalid` or `Conflict` to
    refuse.

    Example: `plugins/express_delivery` refuses what it would refuse of a new parcel.
    """


@guard(veto=True, winds_down=True, contributors=True)
async def refund_requesting(tx: Tx, refund: RefundDraft) -> Sequence[Deduction]:  # type: ignore[empty-body]
    """Units of an order are about to be refunded; inside the transaction that decides it. Raise `core.api.Conflict` to
    refuse the refund.

    Answer what is to be kept back from now on for benefits that came with the goods and are used up; below 0, what is to be
    given back because its reason is gone; not again what was answered before. `refund.kept` says what stays of the order,
    and what of that has not left the shop: a gift that is not earned any more and has not left is cancelled
    (`Deduction.cancelled`), not kept back. What this refund is too small for is kept back from those after it.

    Example: `plugins/coupons` voids the coupons that came with an order, and keeps back the worth of those already used; it
    gave them once the order was paid, so it is asked about every order. `plugins/promotions` cancels gifts or keeps their
    value back, and gives it back once the gift is returned.
    """


@guard(veto=False, winds_down=True, contributors=True)
async def refund_settling(tx: Tx, refunded: Refunded) -> None:
    """The money of a refund has gone back: reverse the plugin's own state in proportion. Each plugin runs in a savepoint;
    one that fails holds the order, with the reason, and is tried again.

    Example: `plugins/coupons` gives a shop's coupon back once all of its order is refunded; `plugins/membership` takes back
    points that any order may have brought, so it is asked about every order.
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
async def parcel_delivered(tx: Tx, event: ParcelEvent) -> None:
    """A parcel arrived, or its code was redeemed."""


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
async def refund_done(tx: Tx, event: RefundEvent) -> None:
    """A refund's money was sent back.

    Example: `plugins/coupons` takes it off what its templates cost.
    """


@effect
async def aftersale_changed(tx: Tx, event: AftersaleEvent) -> None:
    """A buyer's case was opened, or went on."""


@effect
async def payout_done(tx: Tx, event: PayoutEvent) -> None:
    """A payout reached the merchant's bank, or came back from it."""


@effect
async def merchant_changed(tx: Tx, event: MerchantEvent) -> None:
    """A merchant applied, was approved, suspended or reopened."""


@effect
async def product_changed(tx: Tx, event: ProductsEvent) -> None:
    """Products were created, changed, listed or delisted."""


@effect
async def account_registered(tx: Tx, event: AccountEvent) -> None:
    """Somebody registered an account."""


@effect
async def visit_recorded(tx: Tx, event: VisitEvent) -> None:
    """A buyer or guest opened a page; under a pseudonym."""
