"""A group price in a purchase: priced, a seat taken by placing, given back by closing, counted by paying."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from core.api import (
    Basket,
    BasketLine,
    Closing,
    Conflict,
    FieldError,
    Invalid,
    NotFound,
    Paying,
    PayingAnswer,
    Placement,
    PriceRule,
    QuoteLine,
    Refunded,
    Tx,
    parse_pair,
    parse_ref,
    ref,
)
from plugins.group_buy import endings, repository, seats
from plugins.group_buy.machine import Event, Group, Payment, Seat, on_payment
from plugins.group_buy.rules import PRICE, PRICE_OPEN, GroupRule, Offer, Target, fault_of, refused
from plugins.group_buy.schemas import Choice
from plugins.group_buy.seats import Taking

PLUGIN = "group_buy"
WAITING = "拼团中，满员后发货"
LATE = "付款时该团已结束，自动退款"
NOT_NEW = "该团仅限新用户参加，自动退款"

# Letters and digits that are not mistaken for others; 60 bits, within the 32 characters that a mini-program's code takes.
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_CODE_LENGTH = 12


async def rules(tx: Tx, basket: Basket) -> Sequence[PriceRule]:
    """The group price of the one line, if the buyer asks for it. One statement, none without `options.group_buy`.

    Raises `Invalid` for a choice that is none, `Conflict` `single_sku` for more than one SKU.
    """
    if PLUGIN not in basket.options:
        return []
    activity_id, group_id = _choice(basket)
    if len(basket.lines) != 1:
        raise Conflict("In a group one article is bought by itself.", code="single_sku")
    line = basket.lines[0]
    row = await repository.offer(
        tx, (line.merchant_id, activity_id), line.sku_id, group_id, basket.account_id
    )
    return [_rule(row, activity_id, group_id, line, basket.now)]


def _choice(basket: Basket) -> tuple[UUID, UUID | None]:
    """(the activity, the group or None)."""
    field = "options.group_buy"
    try:
        choice = msgspec.convert(basket.options[PLUGIN], Choice)
        field = "options.group_buy.activity_id"
        activity_id = parse_ref(choice.activity_id)
        field = "options.group_buy.group_id"
        group_id = None if choice.group_id is None else parse_pair(choice.group_id)[1]
    except (msgspec.ValidationError, NotFound) as error:
        fault = FieldError(field, "invalid", str(error))
        raise Invalid('options.group_buy takes {"activity_id", "group_id"?}.', fault) from None
    return activity_id, group_id


def _rule(
    row: asyncpg.Record | None,
    activity_id: UUID,
    group_id: UUID | None,
    line: BasketLine,
    now: datetime,
) -> GroupRule:
    offer = None if row is None else offer_of(row, opening=group_id is None)
    target = None
    if row is not None and group_id is not None:
        target = Target(row["group_status"] or "", row["group_taken"] or 0, row["expires_at"])
    fault = "unknown_activity" if offer is None else fault_of(offer, target, line.quantity, now)
    named = [ref(activity_id), ref(line.sku_id), *([] if group_id is None else [ref(group_id)])]
    return GroupRule(
        plugin=PLUGIN,
        id=":".join(named),
        kind=PRICE_OPEN if row is not None and row["market_coupons"] else PRICE,
        label="" if row is None else row["name"],
        merchant_id=line.merchant_id,
        # Of an event it is the event that the calendar knows.
        activity_id=activity_id if row is None else row["event_id"] or activity_id,
        # The price that the buyer asked for is never swapped for another: it comes with a seat.
        chosen=True,
        key=line.key,
        price=0 if offer is None or offer.price is None else offer.price,
        fault=fault,
        merchant_share_bp=10_000 if row is None else row["merchant_share_bp"],
    )


def offer_of(row: asyncpg.Record, *, opening: bool) -> Offer:
    """The offer in a row of `repository.offer`."""
    price = row["price"]
    if opening and row["leader_price"] is not None:
        price = row["leader_price"]
    return Offer(
        size=row["size"],
        price=price,
        left=row["left"] or 0,
        taken=row["taken"],
        per_order=row["per_order"],
        per_account=row["per_account"],
        starts_at=row["starts_at"],
        ends_at=row["stopped_at"] or row["ends_at"],
        busy=row["busy"],
        inside=row["inside"],
        welcome=opening or not row["bought_before"],
    )


async def take(tx: Tx, placement: Placement) -> datetime | None:
    """Take a seat, in a new group or the one that is named, and the units off the quota. The answer is by when a member has
    to pay: until the group's time is over.

    Raises `Conflict`: `group_full`, `group_over`, `activity_over`, `group_in_progress`, `account_limit`, `quota_sold_out`.
    """
    taking = _taking(placement)
    if taking is None:
        return None
    if taking.group_id is None:
        room = await seats.open_group(tx, taking, new_code())
        if room is None:
            raise Conflict(refused("activity_over").detail, code="activity_over")
    else:
        room = await seats.join(tx, taking, taking.group_id)
        if room is None:
            raise await _no_seat(tx, taking.merchant_id, taking.group_id)
    before = await seats.sit(tx, taking, room)
    if before is None:
        raise Conflict(refused("group_in_progress").detail, code="group_in_progress")
    if room.per_account is not None and before + taking.units > room.per_account:
        raise Conflict(refused("account_limit").detail, code="account_limit")
    if not await seats.claim(tx, taking):
        raise Conflict(refused("quota_sold_out").detail, code="quota_sold_out")
    return room.expires_at


async def _no_seat(tx: Tx, merchant_id: UUID, group_id: UUID) -> Conflict:
    if await seats.is_full(tx, merchant_id, group_id):
        return Conflict(refused("group_full").detail, code="group_full")
    return Conflict(refused("group_over").detail, code="group_over")


def new_code() -> str:
    """A group's code for sharing."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))


def _taking(placement: Placement) -> Taking | None:
    """What the trade takes: the one line with a group price."""
    for order in placement.orders:
        for line in order.priced.lines:
            for part in line.adjustments:
                if part.plugin == PLUGIN:
                    return _of_line(placement, order.id, line, part.rule)
    return None


def _of_line(placement: Placement, order_id: UUID, line: QuoteLine, rule: str) -> Taking:
    merchant_id, sku_id = parse_pair(line.sku_id)
    activity_id, _, *group = [parse_ref(text) for text in rule.split(":")]
    saved = sum(part.amount for part in line.adjustments if part.plugin == PLUGIN)
    return Taking(
        merchant_id,
        activity_id,
        sku_id,
        group[0] if group else None,
        placement.account_id,
        order_id,
        line.quantity,
        (line.amount - saved) // line.quantity,
    )


async def close(tx: Tx, closing: Closing) -> None:
    """Orders are given up unpaid: free their seats."""
    await seats.close(tx, [(order.merchant_id, order.id) for order in closing.orders])


async def pay(tx: Tx, paying: Paying) -> PayingAnswer | None:
    """A payment was captured: the leader's starts the group, the last seat's completes it; the order is held until then.
    What is paid too late, or by somebody the group is not for, is refunded."""
    order = paying.merchant_id, paying.order_id
    group = await seats.locked_of(tx, order)
    if group is None:
        return None
    seat = await seats.seat_of(tx, order)
    payment = on_payment(group, seat, tx.now)
    match payment:
        case Payment.STARTS:
            return await _start(tx, group, seat, paying.paid_at)
        case Payment.JOINS:
            await seats.paid(tx, group, seat.id, Event.MEMBER_PAID, paying.paid_at)
        case Payment.FILLS:
            await seats.paid(tx, group, seat.id, Event.FILLED, paying.paid_at)
            await endings.succeeded(tx, group)
            return None
        case Payment.LATE | Payment.NOT_NEW:
            await seats.refused(tx, group, seat)
            return PayingAnswer("refund", LATE if payment is Payment.LATE else NOT_NEW)
        case Payment.NOTHING:
            return None
        case Payment.WAITS:
            pass
    return PayingAnswer("hold", WAITING, group.expires_at)


async def _start(tx: Tx, group: Group, seat: Seat, paid_at: datetime) -> PayingAnswer:
    expires_at = paid_at + timedelta(hours=group.hours)
    await seats.paid(tx, group, seat.id, Event.LEADER_PAID, paid_at, expires_at)
    endings.expire_at(tx, group, expires_at)
    return PayingAnswer("hold", WAITING, expires_at)


async def settle(tx: Tx, refunded: Refunded) -> None:
    """A refund's money has gone back: the quota has its units again."""
    refund = refunded.refund
    units = sum(
        line.quantity for line in refund.lines if any(share.plugin == PLUGIN for share in line.discounts)
    )
    if units:
        await seats.give_back(tx, (refund.merchant_id, refund.order_id), units)
