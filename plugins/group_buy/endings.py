"""How groups end: full, out of time, or left by all; and what comes of it, each order in a transaction of its own.

Orders are locked before their group everywhere, so what concerns several orders waits for timers.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec
import structlog

from core.api import (
    Conflict,
    Deduction,
    JishiError,
    NotFound,
    RefundDraft,
    Tx,
    lift_order,
    refund_order,
)
from plugins.group_buy import seats
from plugins.group_buy.config import Config
from plugins.group_buy.happened import GroupEnded, GroupOrder, group_failed, group_succeeded
from plugins.group_buy.machine import Event, Group, on_time

PLUGIN = "group_buy"
FAILED = "拼团未成功，自动退款"
LEFT = "退出拼团，自动退款"
_LONGEST = timedelta(minutes=10)
# Refused with these, there is nothing more to refund.
_DONE = ("wrong_status", "nothing_left")

_LOG = structlog.get_logger()


class GroupDue(msgspec.Struct, frozen=True):
    """Payload of the timers `expire` and `release`."""

    merchant_id: UUID
    group_id: UUID


class SeatDue(msgspec.Struct, frozen=True):
    """Payload of the timers `refund` and `give_up`: the order that has the seat."""

    merchant_id: UUID
    order_id: UUID
    reason: str = LEFT
    attempt: int = 0


def expire_at(tx: Tx, group: Group, at: datetime) -> None:
    """Look at the group again when its time is over."""
    tx.schedule(PLUGIN, "expire", GroupDue(group.merchant_id, group.id), at)


async def succeeded(tx: Tx, group: Group) -> None:
    """The group, still locked, is full by now: tell it, and have the holds of its orders lifted."""
    tx.emit(group_succeeded, _ended(group, await seats.orders_of(tx, group.key, "paid")))
    tx.schedule(PLUGIN, "release", GroupDue(group.merchant_id, group.id), tx.now)


def _ended(group: Group, orders: Iterable[asyncpg.Record]) -> GroupEnded:
    paid = tuple([GroupOrder(row["order_id"], row["account_id"]) for row in orders])
    return GroupEnded(group.merchant_id, group.activity_id, group.id, paid)


async def expire(tx: Tx, payload: msgspec.Raw) -> None:
    """A group's time is over: it fails, or succeeds with placeholders if its activity says so."""
    due = msgspec.json.decode(payload, type=GroupDue)
    group = await seats.locked(tx, (due.merchant_id, due.group_id))
    if group is None:
        return
    # The operator may have come to forbid it since the activity began.
    filled_up = group.virtual_fill and tx.config(Config).virtual_fill_allowed
    event = on_time(group._replace(virtual_fill=filled_up), tx.now)
    if event is Event.FILLED:
        await seats.fill(tx, group)
        await succeeded(tx, group)
    elif event is Event.FAILED:
        for row in await seats.fail(tx, group):
            _refund(tx, (group.merchant_id, row["order_id"]), FAILED)
    elif group.after(Event.FAILED) and group.expires_at is not None:
        expire_at(tx, group, group.expires_at)


async def release(tx: Tx, payload: msgspec.Raw) -> None:
    """A group has succeeded: lift the holds of its orders. The group changes no more, so it is not locked."""
    due = msgspec.json.decode(payload, type=GroupDue)
    for row in await seats.orders_of(tx, (due.merchant_id, due.group_id), "paid"):
        await lift_order(tx, due.merchant_id, row["order_id"], PLUGIN)


async def refund(tx: Tx, payload: msgspec.Raw) -> None:
    """Refund all that is left of an order whose seat is given up, once; tried again until it is decided. With the last one
    a failing group has failed."""
    due = msgspec.json.decode(payload, type=SeatDue)
    if not await _refunded(tx, due):
        return
    order = due.merchant_id, due.order_id
    await lift_order(tx, *order, PLUGIN)
    group = await seats.locked_of(tx, order)
    if group is not None and await seats.decided(tx, group, due.order_id):
        tx.emit(group_failed, _ended(group, await seats.orders_of(tx, group.key, "refunded")))


async def _refunded(tx: Tx, due: SeatDue) -> bool:
    """Whether the refund is decided, now or before; if it is refused, it is tried again later."""
    try:
        async with tx.savepoint("group_refund"):
            await refund_order(tx, due.merchant_id, due.order_id, reason=due.reason)
    except JishiError as error:
        if error.code not in _DONE:
            _LOG.warning("group_not_refunded", order_id=str(due.order_id), code=error.code)
            wait = timedelta(seconds=tx.config(Config).retry_s) * (1 << min(due.attempt, 12))
            again = msgspec.structs.replace(due, attempt=due.attempt + 1)
            tx.schedule(PLUGIN, "refund", again, tx.now + min(wait, _LONGEST))
            return False
    return True


def _refund(tx: Tx, order: seats.Key, reason: str) -> None:
    tx.schedule(PLUGIN, "refund", SeatDue(*order, reason), tx.now)


async def leave(tx: Tx, account_id: UUID, key: seats.Key) -> None:
    """The buyer leaves a group that is still being filled: the own order is refunded after the commit. A leader hands the
    lead to whoever paid next; with the last one who paid the group is closed. For the system scope.

    Raises `NotFound` for a group without a seat of the account; `Conflict`: `group_over`, `not_paid`.
    """
    group = await seats.locked(tx, key)
    seated = [] if group is None else await seats.seated(tx, group)
    mine = next((row for row in seated if row["account_id"] == account_id), None)
    if group is None or mine is None:
        raise NotFound("You have no seat in such a group.")
    if mine["status"] == "held":
        raise Conflict("This seat is not paid yet; close the trade instead.", code="not_paid")
    if not group.open_at(tx.now):
        raise Conflict("This group is over; nobody can leave it any more.", code="group_over")
    await _give_up(tx, group, seated, mine)


async def _give_up(tx: Tx, group: Group, seated: list[asyncpg.Record], mine: asyncpg.Record) -> None:
    others = [row for row in seated if row["status"] == "paid" and row["id"] != mine["id"]]
    heir = others[0]["id"] if others and mine["leader"] else None
    event = Event.MEMBER_LEFT if others else Event.EMPTIED
    await seats.leave(tx, group, mine["id"], heir, event)
    _refund(tx, (group.merchant_id, mine["order_id"]), LEFT)


async def give_up(tx: Tx, payload: msgspec.Raw) -> None:
    """The market refunded an order of a running group by force: its seat is free."""
    due = msgspec.json.decode(payload, type=SeatDue)
    group = await seats.locked_of(tx, (due.merchant_id, due.order_id))
    if group is None or not group.after(Event.MEMBER_LEFT):
        return
    seated = await seats.seated(tx, group)
    mine = next((row for row in seated if row["order_id"] == due.order_id and row["status"] == "paid"), None)
    if mine is not None:
        await _give_up(tx, group, seated, mine)


async def guard_refund(tx: Tx, refund: RefundDraft) -> list[Deduction]:
    """While a group is being filled its orders are refunded by leaving it, or by the market's force; while the plugin is
    switched off, so that nobody can join or leave, by anybody.

    Raises `Conflict` `group_running`.
    """
    order = refund.merchant_id, refund.order_id
    shares = [share.plugin for line in refund.lines for share in line.discounts]
    # Goods that were not bought in a group need no look.
    if (PLUGIN in shares or not refund.lines) and await seats.bound(tx, order):
        if refund.origin != "platform" and PLUGIN in tx.snapshot.active:
            raise Conflict(
                "The group of this order is still being filled; leave the group to get the money back.",
                code="group_running",
            )
        if refund.whole_order:
            tx.schedule(PLUGIN, "give_up", SeatDue(*order), tx.now)
    return []


TIMERS = {"expire": expire, "release": release, "refund": refund, "give_up": give_up}
