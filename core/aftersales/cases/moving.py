"""A case goes from one status to the next: the one place where that happens, is logged, told and timed."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from core import hookspecs
from core.aftersales.cases import repository
from core.aftersales.cases.machine import ENDED, KINDS, STATUSES, Event, Step, step
from core.aftersales.cases.repository import Deed, Facts
from core.aftersales.cases.rules import Claim
from core.aftersales.cases.schemas import CaseTimer
from core.aftersales.rules import Part
from core.db.tx import Tx
from core.fulfilment.service import OrderTimer
from core.kit.errors import Conflict
from core.kit.ids import ref
from core.kit.settings import Settings
from core.types.events import AftersaleEvent

TIMER: Final = "aftersale_due"

_DETAILS: Mapping[str, str] = {
    "wrong_kind": "A case of kind {kind} knows no such step.",
    "wrong_status": "The case is {status}; this step is over or not due yet.",
    "not_yours": "This step is somebody else's.",
}


def look(row: asyncpg.Record, deed: Deed) -> Step:
    """What the deed would make of the case. Raises `Conflict`: `wrong_status`, `wrong_kind`, `not_yours`."""
    status, kind = row["status"], row["kind"]
    assert status in STATUSES
    assert kind in KINDS
    found = step(status, deed.event, deed.party, kind)
    if found.code is not None:
        detail = _DETAILS[found.code].format(kind=kind, status=status)
        raise Conflict(detail, code=found.code, aftersale_status=status, aftersale_kind=kind)
    return found


async def move(
    tx: Tx, order: asyncpg.Record, row: asyncpg.Record, deed: Deed, facts: Facts | None = None
) -> asyncpg.Record:
    """Do the deed; the answer is the case's row afterwards, the same when it had happened before. The order's row is locked.

    Raises as `look`."""
    found = look(row, deed)
    if not found.moves:
        return row
    deadline = due_at(tx.env.settings, found, tx.now)
    moved = await repository.move(tx, row, found, deed, deadline, facts or Facts())
    if moved is None:
        raise Conflict(
            f"The case is {row['status']} no more; look at it again.",
            code="wrong_status",
            aftersale_status=row["status"],
        )
    tell(tx, moved, row["status"])
    if moved["status"] in ENDED:
        _release_late(tx, order)
    return moved


def tell(tx: Tx, row: asyncpg.Record, old_status: str) -> None:
    """Emit the change, and have the case looked at when its deadline has come."""
    event = AftersaleEvent(
        row["merchant_id"],
        row["order_id"],
        row["account_id"],
        row["id"],
        row["kind"],
        old_status,
        row["status"],
    )
    tx.emit(hookspecs.aftersale_changed, event)
    if row["deadline"] is not None:
        tx.schedule("core", TIMER, CaseTimer(row["merchant_id"], row["id"]), row["deadline"])


def due_at(settings: Settings, now_is: Step, now: datetime) -> datetime | None:
    """When silence decides about a case that has just come to this; None when it does not."""
    # A refund follows at once.
    if (now_is.kind, now_is.status) in (("refund_only", "agreed"), ("return_refund", "received")):
        return None
    seconds = {
        "applied": settings.aftersales_answer,
        "agreed": settings.aftersales_return,
        "sent": settings.aftersales_inspect,
        "received": settings.aftersales_inspect,
        "reshipped": settings.auto_receive,
        "refused": settings.aftersales_answer,
    }.get(now_is.status)
    return None if seconds is None else now + timedelta(seconds=seconds)


async def refunded(tx: Tx, merchant_id: UUID, refund_id: UUID) -> None:
    """The refund's money has arrived: the case that it settles, if any, is done. The order's row is locked."""
    row = await repository.refunded(tx, merchant_id, refund_id)
    if row is not None:
        event = AftersaleEvent(
            merchant_id, row["order_id"], row["account_id"], row["id"], row["kind"], "refunding", "done"
        )
        tx.emit(hookspecs.aftersale_changed, event)


async def make_way(tx: Tx, order: asyncpg.Record, parts: Sequence[Part], *, staff: bool) -> None:
    """A refund outside of any case is about to take `parts`. If an open case is about the same units, staff are refused
    (`Conflict` `in_case`: the case is to be answered); otherwise the case is given up. The order's row is locked."""
    merchant_id, order_id = order["merchant_id"], order["id"]
    claimed = await repository.claims(tx, merchant_id, order_id)
    crossed = {part.line.id for part in parts if crosses(part, claimed.get(part.line.id))}
    if not crossed:
        return
    found = await repository.open_about(tx, merchant_id, order_id, sorted(crossed))
    if staff:
        raise Conflict(
            "An open after-sales case is about these units; answer the case instead.",
            code="in_case",
            aftersales=[ref(merchant_id, row["id"]) for row in found],
        )
    for row in found:
        await move(tx, order, row, Deed(Event.WITHDRAW, "system", note="refunded otherwise"))


def crosses(part: Part, claim: Claim | None) -> bool:
    """Whether taking `part` leaves less than what cases are about: of all units, or of those the buyer has."""
    if claim is None:
        return False
    line = part.line
    with_buyer = line.left - line.to_ship
    return line.left - part.quantity < claim.units or with_buyer - part.returned < claim.to_return


def _release_late(tx: Tx, order: asyncpg.Record) -> None:
    """The release of the order's money may have waited for the case alone."""
    window = timedelta(seconds=tx.env.settings.aftersales_window)
    if order["status"] != "completed" or order["released_at"] is not None:
        return
    if order["completed_at"] + window <= tx.now:
        tx.schedule("core", "release", OrderTimer(order["merchant_id"], order["id"]), tx.now)
