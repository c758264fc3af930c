"""Refunds: decided in one transaction, paid back after it, and told to whom it concerns once the money has arrived.

Units and money are claimed when a refund is decided, so two refunds, a refund and a parcel, a refund and the release can
never both have the same.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from core import hookspecs
from core.aftersales import deductions, money, repository, rules
from core.aftersales.cases import moving
from core.aftersales.deductions import Answers, Kept
from core.aftersales.repository import Decision
from core.aftersales.rules import Order, Part, Plan, Units, Wanted
from core.aftersales.schemas import Origin, Refund, RefundedLine, RefundIn, RefundOut, refund_out
from core.aftersales.settling import settle
from core.db.tx import Tx
from core.fulfilment import service as fulfilment
from core.inventory import service as inventory
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import new_id, new_number, parse_pair
from core.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from core.kit.text import clean
from core.orders import service as orders
from core.types.orders import RefundDraft

_REFUNDABLE = ("paid", "accepted", "shipped", "completed")
_CANCELLED = "cancelled by the buyer"
_IN_PART = "refunded in part"


class _Ask(NamedTuple):
    """What a refund is asked to be; as in `decide`."""

    row: asyncpg.Record
    wanted: Wanted | None
    shipping: int | None
    restock: bool
    origin: Origin
    reason: str
    aftersale_id: UUID | None

    def plan(self, order: Order, cancelled: Units | None = None) -> Plan:
        """What goes back, `cancelled` gifts too."""
        status = self.row["status"]
        return rules.plan(
            order, status, self.wanted, self.shipping, restock=self.restock, cancelled=cancelled
        )

    def draft(self, plan: Plan, refund_id: UUID) -> RefundDraft:
        """The refund as guards are told of it."""
        row = self.row
        return RefundDraft(
            *(refund_id, row["merchant_id"], row["id"], row["trade_id"], row["account_id"]),
            tuple(line.refund for line in plan.lines),
            plan.shipping,
            plan.kept,
            plan.whole_order,
            self.reason,
            self.origin,
            plan.stays,
        )


async def decide(
    tx: Tx,
    merchant_id: UUID,
    order_id: UUID,
    wanted: Wanted | None = None,
    *,
    reason: str,
    shipping: int | None = None,
    restock: bool = False,
    origin: Origin = "system",
    actor_id: UUID | None = None,
    aftersale_id: UUID | None = None,
    sellable: Collection[UUID] | None = None,
    at_most: int | None = None,
) -> Refund:
    """Take units of an order back, and the money paid for them: `wanted` (line id, quantity), with None everything left, and
    `shipping` fen of the freight. The money is sent after the commit. For the system scope.

    An order of which nothing is left and nothing ever left is closed, and gets its freight back too; one of which the rest
    had left is shipped. With `restock`, goods that had left came back, so those units go first, and are on hand again: all
    of them, or those of the lines in `sellable`. With `at_most` the buyer gets no more than that for them; the rest is kept
    back for the merchant. A refund that settles a case names it (`aftersale_id`); any other that staff want is refused while
    an open case is about the same units, and makes the case void if the buyer or the system wants it.
    Raises `NotFound`, `Invalid`; `Conflict`: `wrong_status` for an order that is unpaid or closed, `refund_exceeds` for more
    than is left, `nothing_left`, `in_case`, `plugin_quarantined`; and whatever a plugin refuses with.
    """
    row = await orders.locked(tx, merchant_id, order_id)
    if row["status"] not in _REFUNDABLE:
        raise orders.wrong_status(
            row["status"], f"The order is {row['status']}; only what was paid can be refunded."
        )
    order = await repository.order(tx, row)
    ask = _Ask(row, wanted, shipping, restock, origin, reason, aftersale_id)
    draft, plan, answers = await _planned(tx, ask, order)
    kept = await _keep_back(tx, draft, plan, answers, at_most)
    made = Decision(draft, plan, kept, new_number(), origin, actor_id, aftersale_id=aftersale_id)
    taken = made.amount + plan.market_borne + made.deducted_market
    made = msgspec.structs.replace(made, earnings=rules.given_up(order, plan.parts, taken))
    await repository.add(tx, made)
    await money.move(tx, row, made)
    await _move_stock(tx, made, sellable if restock else (), came_back=restock)
    await _move_order(tx, row, plan, actor_id)
    if not made.amount:
        await settle(tx, merchant_id, draft.id)
    return _decided(tx, made)


async def staff_refund(
    tx: Tx, merchant_id: UUID, order_id: UUID, data: RefundIn, origin: Origin, actor_id: UUID
) -> RefundOut:
    """What staff asked for. Raises as `decide` does; `Invalid` without a reason, `NotFound` for another order's lines."""
    reason = " ".join(clean(data.reason).split())
    if not reason:
        raise Invalid("This cannot be refunded.", FieldError("reason", "required", "Say why."))
    refund = await decide(
        tx,
        merchant_id,
        order_id,
        _wanted(merchant_id, data),
        shipping=data.shipping_amount,
        restock=data.restock,
        origin=origin,
        actor_id=actor_id,
        reason=reason,
    )
    return refund_out(refund)


async def cancel(tx: Tx, account_id: UUID, merchant_id: UUID, order_id: UUID, reason: str) -> RefundOut:
    """The buyer takes back an order that the shop has not accepted yet: all of it is refunded. For the system scope.

    Raises `NotFound`, also for somebody else's order; `Conflict` (`wrong_status`) once it is accepted.
    """
    row = await orders.locked(tx, merchant_id, order_id)
    if row["account_id"] != account_id:
        raise NotFound("No such order.")
    if row["status"] != "paid":
        raise orders.wrong_status(
            row["status"],
            f"The order is {row['status']}; only one that is paid and not accepted can be cancelled.",
        )
    why = " ".join(clean(reason).split()) or _CANCELLED
    refund = await decide(tx, merchant_id, order_id, origin="buyer", actor_id=account_id, reason=why)
    return refund_out(refund)


async def page(
    tx: Tx, merchant_id: UUID, order_id: UUID, account_id: UUID | None, cursor: str | None, limit: int
) -> Page[RefundOut]:
    """Refunds of an order, newest first; with `account_id` only of this buyer's own. Raises `NotFound`, `Invalid`."""
    check_limit(limit)
    before = decode_cursor(cursor, UUID) if cursor is not None else None
    if not await repository.is_there(tx, merchant_id, order_id, account_id):
        raise NotFound("No such order.")
    found = await repository.page(tx, merchant_id, order_id, account_id, before, limit + 1)
    following = encode_cursor(found[limit - 1].id) if len(found) > limit else None
    return Page([refund_out(refund) for refund in found[:limit]], following)


def _wanted(merchant_id: UUID, data: RefundIn) -> Wanted | None:
    if data.lines is None:
        return None
    wanted = [(*parse_pair(line.line_id), line.quantity) for line in data.lines]
    if any(owner != merchant_id for owner, _, _ in wanted):
        raise NotFound("This order has no such line.")
    return [(line_id, quantity) for _, line_id, quantity in wanted]


async def _planned(tx: Tx, ask: _Ask, order: Order) -> tuple[RefundDraft, Plan, Answers]:
    """What goes back, with the gifts that plugins cancel because of it, and what else they answered."""
    plan = ask.plan(order)
    if ask.aftersale_id is None:
        await _make_way(tx, ask, plan.parts)
    # Closing and placing take stock before what plugins hold; so does this.
    gifts = [line.sku_id for line in plan.stays if line.kind == rules.GIFT and line.to_ship]
    await inventory.lock(tx, order.merchant_id, [*gifts, *(part.line.sku_id for part in plan.parts)])
    draft = ask.draft(plan, new_id())
    answers = await _answers(tx, draft, ask.row["contributors"])
    cancelled = deductions.cancelled(plan, answers)
    if cancelled:
        plan = ask.plan(order, cancelled)
        # Another case may be about a gift that goes now.
        await _make_way(tx, ask, [part for part in plan.parts if part.line.id in cancelled])
        draft = ask.draft(plan, draft.id)
    return draft, plan, answers


async def _make_way(tx: Tx, ask: _Ask, parts: Sequence[Part]) -> None:
    staff = ask.aftersale_id is None and ask.origin in ("merchant", "platform")
    await moving.make_way(tx, ask.row, parts, staff=staff)


async def _answers(tx: Tx, draft: RefundDraft, contributors: Collection[str] | None) -> Answers:
    absent = tx.snapshot.absent(hookspecs.refund_requesting, contributors)
    if absent:
        raise Conflict(
            f"Refunds need the plugin {', '.join(absent)}, which is quarantined at present; try again later.",
            code="plugin_quarantined",
        )
    guards = tx.hooks.about(hookspecs.refund_requesting, contributors)
    return [(plugin, await guard(tx, draft)) for plugin, guard in guards]


async def _keep_back(
    tx: Tx, draft: RefundDraft, plan: Plan, answers: Answers, at_most: int | None
) -> tuple[Kept, ...]:
    before = deductions.standings(await repository.deductions(tx, draft.merchant_id, draft.order_id))
    made = deductions.keep_back(before, answers, plan.goods + plan.shipping)
    # What is given back was not paid for these units.
    rest = plan.goods + plan.shipping - sum(one.amount for one in made if one.amount > 0)
    if at_most is None or rest <= at_most:
        return made
    return (*made, Kept("core", _IN_PART, rest - at_most, "merchant"))


async def _move_stock(tx: Tx, made: Decision, sellable: Collection[UUID] | None, *, came_back: bool) -> None:
    """Take back what can be sold again: goods of these lines, with None of all; and those that nobody had fetched."""
    merchant_id, refund_id = made.draft.merchant_id, made.draft.id
    parts = [line.part for line in made.plan.lines]
    cancelled = [(merchant_id, part.line.sku_id, part.cancelled) for part in parts if part.cancelled]
    await inventory.release(tx, cancelled, refund_id, "refunded")
    gone = {part.line.id: part.returned for part in parts if part.returned}
    unfetched = await fulfilment.withdraw(
        tx, merchant_id, made.draft.order_id, list(gone.items()), gone if came_back else ()
    )
    good = {line_id: gone[line_id] for line_id in gone if sellable is None or line_id in sellable}
    skus = {part.line.id: part.line.sku_id for part in parts}
    back = [(skus[line_id], quantity) for line_id, quantity in (unfetched | good).items()]
    await inventory.take_back(tx, merchant_id, back, refund_id, "returned")


async def _move_order(tx: Tx, row: asyncpg.Record, plan: Plan, actor_id: UUID | None) -> None:
    merchant_id, order_id = row["merchant_id"], row["id"]
    if plan.next_status == "shipped":
        await fulfilment.all_shipped(tx, merchant_id, order_id, actor_id, "the rest refunded")
    elif plan.next_status == "closed":
        closed = await orders.transition(
            tx,
            merchant_id,
            order_id,
            ("paid", "accepted"),
            "closed",
            actor_id=actor_id,
            reason="refunded",
            stamp="closed_at",
        )
        tx.emit(hookspecs.order_closed, orders.event_of(closed))


def _decided(tx: Tx, made: Decision) -> Refund:
    draft, plan = made.draft, made.plan
    return Refund(
        id=draft.id,
        merchant_id=draft.merchant_id,
        order_id=draft.order_id,
        number=made.number,
        status="refunding" if made.amount else "done",
        amount=made.amount,
        goods_amount=plan.goods,
        shipping_amount=plan.shipping,
        deducted_amount=made.deducted,
        deductions=tuple(one for one in made.deductions if one.amount),
        lines=tuple(RefundedLine(x.part.line.id, x.part.quantity, x.amount) for x in plan.lines),
        reason=draft.reason,
        origin=made.origin,
        created_at=tx.now,
        done_at=None if made.amount else tx.now,
    )
