"""A refund's money has arrived: the books, then every plugin in a savepoint of its own. One that fails loses nothing of the
refund: it holds the order and is asked again until it has settled."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

import asyncpg
import msgspec
import structlog

from core import hookspecs
from core.aftersales import repository
from core.aftersales.cases import moving
from core.db.tx import Tx
from core.fulfilment.release import left_of
from core.fulfilment.service import OrderTimer
from core.kit.errors import JishiError, NotFound
from core.orders import service as orders
from core.payment.waiting import back_off
from core.types.events import RefundEvent
from core.types.orders import Refunded

_LOG = structlog.get_logger()
_FIRST_RETRY = timedelta(seconds=15)


class RefundDue(msgspec.Struct, frozen=True):
    """Payload of the timer `settle_refund`."""

    merchant_id: UUID
    refund_id: UUID
    attempt: int = 0


async def settle(tx: Tx, merchant_id: UUID, refund_id: UUID) -> bool:
    """The refund's money has arrived; False when that is known already. For the system scope. Raises `NotFound`."""
    found = await repository.sending(tx, merchant_id, refund_id)
    if found is None:
        raise NotFound("No such refund.")
    order_id, trade_id = found["order_id"], found["trade_id"]
    order = await orders.locked(tx, merchant_id, order_id)
    row = await repository.mark_done(tx, merchant_id, refund_id)
    if row is None:
        return False
    await moving.refunded(tx, merchant_id, refund_id)
    await _settle_with(tx, row, RefundDue(merchant_id, refund_id), _asked(tx, order["contributors"]))
    _release_late(tx, order)
    event = RefundEvent(merchant_id, order_id, trade_id, row["account_id"], refund_id, row["whole_order"])
    tx.emit(hookspecs.refund_done, event)
    return True


async def settle_again(tx: Tx, due: RefundDue) -> None:
    """Ask the plugins again that could not settle a refund. For the system scope."""
    found = await repository.sending(tx, due.merchant_id, due.refund_id)
    if found is None:
        return
    await orders.locked(tx, due.merchant_id, found["order_id"])
    row = await repository.unsettled(tx, due.merchant_id, due.refund_id)
    if row is not None and row["unsettled"]:
        again = RefundDue(due.merchant_id, due.refund_id, due.attempt + 1)
        await _settle_with(tx, row, again, row["unsettled"])


def _asked(tx: Tx, contributors: Collection[str] | None) -> list[str]:
    """The plugins that settle refunds of an order in which `contributors` had a part, those in quarantine too."""
    there = [plugin for plugin, _ in tx.hooks.about(hookspecs.refund_settling, contributors)]
    return there + tx.snapshot.absent(hookspecs.refund_settling, contributors)


async def _settle_with(tx: Tx, row: asyncpg.Record, due: RefundDue, asked: Collection[str]) -> None:
    """Have the plugins `asked` settle the refund; for those that fail, `due` is when to go on."""
    failed = await _tell(tx, row, asked)
    # A plugin that is not installed at present, or quarantined, settles when it is back.
    hooked = {plugin for plugin, _ in tx.hooks.of(hookspecs.refund_settling)}
    failed += [(plugin, "the plugin is not there") for plugin in asked if plugin not in hooked]
    if failed or due.attempt:
        await repository.set_unsettled(tx, due.merchant_id, due.refund_id, [plugin for plugin, _ in failed])
        await repository.hold(tx, due.merchant_id, row["order_id"], row["account_id"], failed)
        await repository.lift(tx, due.merchant_id, row["order_id"])
    if failed:
        tx.schedule("core", "settle_refund", due, tx.now + back_off(_FIRST_RETRY, due.attempt))


async def _tell(tx: Tx, row: asyncpg.Record, asked: Collection[str]) -> list[tuple[str, str]]:
    """(plugin, reason) of those that failed."""
    told = Refunded(repository.draft_of(row), row["amount"], repository.deductions_of(row))
    failed = []
    for plugin, guard in tx.hooks.of(hookspecs.refund_settling):
        if plugin not in asked:
            continue
        try:
            async with tx.savepoint(plugin):
                await guard(tx, told)
        except Exception as error:
            if tx.lost:
                raise
            _LOG.exception("refund_not_settled", plugin=plugin, refund_id=str(told.refund.id))
            reason = error.detail if isinstance(error, JishiError) else "the plugin failed"
            failed.append((plugin, reason))
    return failed


def _release_late(tx: Tx, order: asyncpg.Record) -> None:
    """What waited for this refund to be done: the release whose time has come, and what a closed order has left."""
    if order["released_at"] is not None:
        return
    over = (
        left_of(order).frozen > 0 and order["paid_at"] is not None
        if order["status"] == "closed"
        else order["status"] == "completed"
        and order["completed_at"] + timedelta(seconds=tx.env.settings.aftersales_window) <= tx.now
    )
    if over:
        tx.schedule("core", "release", OrderTimer(order["merchant_id"], order["id"]), tx.now)
