"""A buyer opens a case: what it may be about, and until when."""

from datetime import timedelta
from uuid import UUID

import asyncpg

from core.aftersales import repository as refunds
from core.aftersales.cases import moving, repository, rules
from core.aftersales.cases.machine import Event, Step
from core.aftersales.cases.repository import Deed
from core.aftersales.cases.schemas import ApplyIn
from core.db.tx import Tx
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import new_number, parse_pair
from core.kit.text import clean
from core.orders import service as orders

_OPEN_ORDERS = ("paid", "accepted", "shipped", "completed")


async def apply(tx: Tx, account_id: UUID, merchant_id: UUID, order_id: UUID, data: ApplyIn) -> UUID:
    """Open a case about units of the buyer's order; a refused one about the same lines is closed by it. The answer is the
    case's id. For the system scope.

    Raises `NotFound`, also for somebody else's order; `Invalid`; `Conflict`: `wrong_status`, `window_over`, `on_hold`,
    `refund_exceeds`, `in_case`, `not_shipped`, `gift_alone`.
    """
    order = await orders.locked(tx, merchant_id, order_id)
    if order["account_id"] != account_id:
        raise NotFound("No such order.")
    check_order(tx, order)
    await orders.refuse_held(tx, merchant_id, order_id)
    reason, images = said(data.reason, "reason"), rules.checked_images(data.images)
    wanted = [(*parse_pair(line.line_id), line.quantity) for line in data.lines]
    if any(owner != merchant_id for owner, _, _ in wanted):
        raise NotFound("This order has no such line.")
    units = [(line_id, quantity) for _, line_id, quantity in wanted]
    await _give_up_refused(tx, order, [line_id for line_id, _ in units])
    lines = (await refunds.order(tx, order)).lines
    claims = await repository.claims(tx, merchant_id, order_id)
    waiting = await repository.waiting(tx, merchant_id, order_id)
    rules.check_units(merchant_id, lines, claims, waiting, data.kind, units)
    deadline = moving.due_at(tx.env.settings, Step("applied", data.kind, moves=True), tx.now)
    assert deadline is not None
    row = await repository.add(tx, order, new_number(), data.kind, reason, images, units, deadline)
    moving.tell(tx, row, "")
    case_id: UUID = row["id"]
    return case_id


def check_order(tx: Tx, order: asyncpg.Record) -> None:
    """Raises `Conflict`: `wrong_status` for an order that is unpaid or closed, `window_over` once its time is over."""
    if order["status"] not in _OPEN_ORDERS:
        raise orders.wrong_status(
            order["status"], f"The order is {order['status']}; nothing of it can be asked back."
        )
    window = timedelta(seconds=tx.env.settings.aftersales_window)
    over = order["completed_at"] is not None and order["completed_at"] + window <= tx.now
    if over or order["released_at"] is not None:
        raise Conflict("The time for after-sales cases of this order is over.", code="window_over")


def said(text: str, field: str) -> str:
    """What somebody wrote, cleaned. Raises `Invalid` when nothing is left of it."""
    found = clean(text).strip()
    if not found:
        raise Invalid("Say why.", FieldError(field, "required", "Say why."))
    return found


async def _give_up_refused(tx: Tx, order: asyncpg.Record, line_ids: list[UUID]) -> None:
    found = await repository.open_about(tx, order["merchant_id"], order["id"], line_ids, ("refused",))
    for row in found:
        await moving.move(tx, order, row, Deed(Event.REAPPLY, "buyer", order["account_id"], "applied again"))
