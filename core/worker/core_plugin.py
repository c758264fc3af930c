"""Core as a subscriber of its own hooks: what the flow leaves to be done after the commit, core's timers, and what goes
to the account when a guest signs in."""

from collections.abc import Mapping
from typing import ClassVar

from core.aftersales.cases.timers import TIMERS as CASES
from core.aftersales.timers import TIMERS as AFTERSALES
from core.attribution import service as attribution
from core.cart import service as cart
from core.checkout.timers import TIMERS as CHECKOUT
from core.db.tx import Tx
from core.fulfilment.timers import TIMERS as FULFILMENT
from core.hooks import hookimpl
from core.identity import addresses
from core.ledger import balances
from core.payment import payouts
from core.payment.timers import TIMERS as PAYMENT
from core.plugin import Cycle, Plugin, TimerHandler
from core.types.events import OrderEvent
from core.types.identity import Merging

# Rows are locked in key order: two orders with the same products would otherwise wait for each other for ever.
_COUNT_SALES = """
with sold as (
  select product_id, sum(quantity)::int as quantity from order_line
  where merchant_id = $1 and order_id = $2 and kind = 'sale' group by product_id
), locked as materialized (
  select l.product_id, s.quantity from listing l join sold s on l.merchant_id = $1 and l.product_id = s.product_id
  order by l.product_id for no key update of l
)
update listing l set sales = l.sales + k.quantity from locked k
where l.merchant_id = $1 and l.product_id = k.product_id
"""


class CorePlugin(Plugin):
    """Always on; the operator does not see it among the plugins."""

    name = "core"
    title = "Core"
    summary = "What core does after its own events."
    timers: ClassVar[Mapping[str, TimerHandler]] = {
        **CHECKOUT,
        **PAYMENT,
        **FULFILMENT,
        **AFTERSALES,
        **CASES,
    }
    cycles: ClassVar[Mapping[str, Cycle]] = {
        "roll_up": Cycle(balances.EVERY, balances.cycle),
        "payouts": Cycle(payouts.EVERY, payouts.cycle),
    }

    @hookimpl
    async def account_merging(self, tx: Tx, merging: Merging) -> None:
        """The guest's cart goes to the account, and the guest's addresses if the account has none."""
        await cart.merge_guest(tx, merging)
        await addresses.move(tx, merging)
        await attribution.merge(tx, merging.account_id, merging.guest_id)

    @hookimpl
    async def order_paid(self, tx: Tx, event: OrderEvent) -> None:
        """Add to the sales shown with the products. Gifts do not count."""
        await tx.execute(_COUNT_SALES, event.merchant_id, event.order_id)
