"""What others earn on orders that are being placed: asked of the plugins, checked, capped and frozen with the orders."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog

from core import hookspecs
from core.checkout.draft import Draft, OrderRow
from core.db.tx import Tx
from core.kit.errors import Conflict
from core.kit.ids import new_id
from core.types.orders import Earning

_LOG = structlog.get_logger()


class EarningRow(msgspec.Struct, frozen=True):
    """A row of `order_earning` about to be written."""

    merchant_id: UUID
    id: UUID
    order_id: UUID
    line_id: UUID
    owner_id: UUID
    plugin: str
    label: str
    amount: int


async def load(tx: Tx, draft: Draft) -> tuple[Draft, list[EarningRow]]:
    """The draft with what is earned on each order, and the rows of it; as it was when no plugin pays earners.

    Raises `Conflict` (`bad_earning`) naming the plugin that answers what cannot be: a merchant or line that is not in the
    quote, a gift, no amount.
    """
    answers = [(plugin, await earn(tx, draft.placement)) for plugin, earn in tx.hooks.of(hookspecs.earnings)]
    rows = shared(draft, answers)
    if not rows:
        return draft, rows
    return msgspec.structs.replace(draft, orders=tuple([_earned_on(o, rows) for o in draft.orders])), rows


def _earned_on(order: OrderRow, rows: Sequence[EarningRow]) -> OrderRow:
    mine = [row for row in rows if row.order_id == order.id]
    return msgspec.structs.replace(
        order,
        earnings=sum(row.amount for row in mine),
        contributors=tuple(sorted({*order.contributors, *[row.plugin for row in mine]})),
    )


def shared(draft: Draft, answers: Sequence[tuple[str, Sequence[Earning]]]) -> list[EarningRow]:
    """The rows for what plugins answered, in the order given: of an order, at most what is left after the market's fee. The
    one that does not fit is cut, those after it get nothing. Raises `Conflict` (`bad_earning`)."""
    lines = {(line.merchant_id, line.key): line for line in draft.lines}
    left = {order.id: earnable(order) for order in draft.orders}
    rows = []
    for plugin, earnings in answers:
        for earning in earnings:
            line = lines.get((earning.merchant_id, earning.line))
            if line is None or line.kind != "sale" or earning.amount <= 0:
                raise _bad(plugin, earning)
            amount = min(earning.amount, left[line.order_id])
            left[line.order_id] -= amount
            if amount:
                rows.append(
                    EarningRow(
                        line.merchant_id,
                        new_id(),
                        line.order_id,
                        line.id,
                        earning.owner_id,
                        plugin,
                        earning.label,
                        amount,
                    )
                )
    return rows


def _bad(plugin: str, earning: Earning) -> Conflict:
    _LOG.error("bad_earning", plugin=plugin, earning=repr(earning))
    return Conflict(
        f"The plugin {plugin} answers an earning that cannot be, of {earning.amount} fen on the line {earning.line!r}; this"
        " is a defect of it.",
        code="bad_earning",
        plugin=plugin,
    )


def earnable(order: OrderRow) -> int:
    """What is left of an order's money after the market's fee."""
    return max(0, order.payable + order.market_borne - order.commission)
