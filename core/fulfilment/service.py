"""From an order that is paid to one that is completed: accept, ship, hand over, receive."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
import msgspec

from core import hookspecs
from core.db.tx import Tx
from core.fulfilment import parcels, repository, rules
from core.fulfilment.repository import Standing
from core.fulfilment.rules import OpenLine
from core.fulfilment.schemas import ParcelIn
from core.inventory import service as inventory
from core.kit.errors import Conflict, NotFound
from core.kit.ids import parse_pair
from core.orders import service as orders
from core.types.events import ParcelEvent

_RECEIVED_TEXT = "买家已确认收货"
_BY_ITSELF_TEXT = "超过时间，系统自动确认收货"
_WITHDRAWN_TEXT = "已退款，核销码中相应数量作废"
_HANDED_OVER = "all codes redeemed"
_SERVICE = ParcelIn(kind="service")


class OrderTimer(msgspec.Struct, frozen=True):
    """The order that a timer is about."""

    merchant_id: UUID
    order_id: UUID


async def accept(tx: Tx, merchant_id: UUID, order_id: UUID, actor_id: UUID | None) -> None:
    """The merchant takes a paid order on: places are found for its goods, and what needs no shipping can be used at once.

    Raises `NotFound`, `Conflict`: `on_hold` while something holds it, `wrong_status` unless it is paid, `bad_plan`; and
    whatever a plugin refuses.
    """
    # The lock keeps a hold from slipping in between the look at the holds and the move.
    await orders.locked(tx, merchant_id, order_id)
    await orders.refuse_held(tx, merchant_id, order_id)
    row = await orders.transition(
        tx,
        merchant_id,
        order_id,
        ("paid",),
        "accepted",
        actor_id=actor_id,
        reason="accepted",
        stamp="accepted_at",
    )
    tx.emit(hookspecs.order_accepted, orders.event_of(row))
    lines = await repository.open_lines(tx, merchant_id, order_id)
    await parcels.plan(tx, row, [(line, line.left) for line in lines])
    await _serve(tx, row, lines, actor_id)


async def _serve(tx: Tx, row: asyncpg.Record, lines: Sequence[OpenLine], actor_id: UUID | None) -> None:
    """What needs no shipping gets its codes."""
    served = rules.services(lines)
    if not served:
        return
    merchant_id, order_id = row["merchant_id"], row["id"]
    drafts = [parcels.draft(row, _SERVICE, [(line.id, quantity)]) for line, quantity in served]
    await parcels.leave(tx, drafts)
    await inventory.ship(tx, merchant_id, [(line.sku_id, quantity) for line, quantity in served], order_id)
    if sum(quantity for _, quantity in served) == sum(line.left for line in lines):
        await all_shipped(tx, merchant_id, order_id, actor_id)


async def ship(tx: Tx, merchant_id: UUID, order_id: UUID, parcel: ParcelIn, actor_id: UUID | None) -> UUID:
    """A parcel leaves, or is ready for whoever has its code: its units leave the stock, and with the last of them the order
    is shipped.

    The answer is the parcel's id. Raises `NotFound`; `Conflict`: `wrong_status` unless the order is accepted,
    `on_hold`, `nothing_left`; `Invalid` for more units than are left and whatever a plugin refuses.
    """
    row = await orders.locked(tx, merchant_id, order_id)
    _check_shippable(row)
    await orders.refuse_held(tx, merchant_id, order_id)
    lines = await repository.open_lines(tx, merchant_id, order_id)
    packed = rules.pack(lines, _wanted(merchant_id, parcel))
    draft = parcels.draft(row, parcel, [(line.id, quantity) for line, quantity in packed])
    await parcels.leave(tx, [draft])
    await inventory.ship(tx, merchant_id, [(line.sku_id, quantity) for line, quantity in packed], draft.id)
    if sum(quantity for _, quantity in packed) == sum(line.left for line in lines):
        await all_shipped(tx, merchant_id, order_id, actor_id)
    return draft.id


async def ship_replacement(
    tx: Tx,
    merchant_id: UUID,
    order_id: UUID,
    aftersale_id: UUID,
    lines: Sequence[tuple[UUID, int]],
    parcel: ParcelIn,
    actor_id: UUID | None,
) -> UUID:
    """A parcel leaves whose goods replace units of the order, as (line id, quantity), for the case `aftersale_id`;
    `parcel.lines` says nothing here. Places are found for them first. Whether the case allows it, and how much of it, is
    the caller's; the order stays as it is.

    The answer is the parcel's id. Raises `NotFound`; `Invalid`; `Conflict`: `out_of_stock` (with the SKUs) when less is on
    hand than that and what orders have reserved, `on_hold`, `bad_plan`; and whatever a plugin refuses.
    """
    del actor_id  # who did it is in the case's log
    row = await orders.locked(tx, merchant_id, order_id)
    await orders.refuse_held(tx, merchant_id, order_id)
    chosen = rules.chosen(await repository.open_lines(tx, merchant_id, order_id), lines)
    draft = parcels.draft(row, parcel, lines, aftersale_id)
    await parcels.plan(tx, row, chosen, aftersale_id)
    await parcels.leave(tx, [draft])
    units = [(line.sku_id, quantity) for line, quantity in chosen]
    await inventory.take_out(tx, merchant_id, units, draft.id, "replaced")
    return draft.id


def _check_shippable(row: asyncpg.Record) -> None:
    status: str = row["status"]
    if status == "paid":
        raise orders.wrong_status(status, "The order is paid; accept it first.")
    if status != "accepted":
        raise orders.wrong_status(status, f"The order is {status}; only an accepted order can be shipped.")


def _wanted(merchant_id: UUID, parcel: ParcelIn) -> Sequence[tuple[UUID, int]] | None:
    if parcel.lines is None:
        return None
    wanted = [(*parse_pair(line.line_id), line.quantity) for line in parcel.lines]
    if any(owner != merchant_id for owner, _, _ in wanted):
        raise NotFound("This order has no such line.")
    return [(line_id, quantity) for _, line_id, quantity in wanted]


async def all_shipped(
    tx: Tx, merchant_id: UUID, order_id: UUID, actor_id: UUID | None, reason: str = "all shipped"
) -> None:
    """Nothing of an accepted order is left to ship, be it that the last parcel left or that the rest was refunded: it is
    shipped, and is received by itself after a while: later when codes wait to be redeemed, at once when all were.
    Raises `NotFound`, `Conflict` (`wrong_status`)."""
    await orders.transition(
        tx,
        merchant_id,
        order_id,
        ("accepted",),
        "shipped",
        actor_id=actor_id,
        reason=reason,
        stamp="shipped_at",
    )
    standing = await repository.standing(tx, merchant_id, order_id)
    if standing.handed_over:
        await complete(tx, merchant_id, order_id, actor_id, _HANDED_OVER)
        return
    settings = tx.env.settings
    wait = settings.auto_service if standing.ready else settings.auto_receive
    tx.schedule("core", "auto_receive", OrderTimer(merchant_id, order_id), tx.now + timedelta(seconds=wait))


async def handed_over(tx: Tx, merchant_id: UUID, order_id: UUID, actor_id: UUID | None) -> None:
    """A code was redeemed or withdrawn. A shipped order of which every parcel was delivered by its code is completed; one
    whose other parcels wait for the buyer's word is received by itself as if there had been no codes."""
    standing = await repository.standing(tx, merchant_id, order_id)
    if standing.status != "shipped" or standing.ready:
        return
    if standing.handed_over:
        await complete(tx, merchant_id, order_id, actor_id, _HANDED_OVER)
        return
    wait = timedelta(seconds=tx.env.settings.auto_receive)
    due = max(tx.now, (standing.shipped_at or tx.now) + wait)
    tx.schedule("core", "auto_receive", OrderTimer(merchant_id, order_id), due)


async def withdraw(
    tx: Tx,
    merchant_id: UUID,
    order_id: UUID,
    units: Sequence[tuple[UUID, int]],
    came_back: Collection[UUID] = (),
) -> dict[UUID, int]:
    """A refund has taken units, as (line id, quantity), of which some may wait in parcels for whoever has the code: as many
    as there are leave those parcels, newest first, and an emptied parcel is void. Of the lines in `came_back` the buyer
    sent goods back: codes stay for as many units as are not refunded. Call it for units that had left, once they are
    counted as refunded; lock the order first. In the system or the merchant's scope.

    The answer: line id -> units that were withdrawn. Nobody has fetched those: the goods are still with the shop, but the
    stock is the caller's to move. A shipped order with no other code to redeem is completed by it.
    """
    wanted: dict[UUID, int] = {}
    for line_id, quantity in units:
        wanted[line_id] = wanted.get(line_id, 0) + quantity
    if not wanted:
        return {}
    taken = await repository.withdraw(tx, merchant_id, order_id, wanted, came_back, _WITHDRAWN_TEXT)
    if taken:
        await handed_over(tx, merchant_id, order_id, None)
    return taken


async def receive(tx: Tx, account_id: UUID, merchant_id: UUID, order_id: UUID) -> None:
    """The buyer confirms receipt of a shipped order. Once it is completed, again changes nothing.

    For the system scope. Raises `NotFound`, also for somebody else's order; `Conflict`: `wrong_status`, and `not_redeemed`
    while codes of it wait: what the buyer has not fetched was not received.
    """
    row = await orders.locked(tx, merchant_id, order_id)
    if row["account_id"] != account_id:
        raise NotFound("No such order.")
    if row["status"] == "completed":
        return
    if row["status"] == "shipped":
        _refuse_unredeemed(await repository.standing(tx, merchant_id, order_id))
    await complete(tx, merchant_id, order_id, account_id, "received")


def _refuse_unredeemed(standing: Standing) -> None:
    if standing.ready:
        raise Conflict(
            f"{standing.ready_count} codes of this order are not redeemed yet; it is received once the shop has redeemed"
            " them.",
            code="not_redeemed",
            codes=standing.ready_count,
        )


async def receive_by_itself(tx: Tx, merchant_id: UUID, order_id: UUID) -> None:
    """The buyer never confirmed a shipped order. While codes of it wait, it has more time. Raises `NotFound`.

    The codes of an order that was completed so can still be redeemed.
    """
    row = await orders.locked(tx, merchant_id, order_id)
    if row["status"] != "shipped":
        return
    due = (row["shipped_at"] or tx.now) + timedelta(seconds=tx.env.settings.auto_service)
    if tx.now < due and (await repository.standing(tx, merchant_id, order_id)).ready:
        tx.schedule("core", "auto_receive", OrderTimer(merchant_id, order_id), due)
    else:
        await complete(tx, merchant_id, order_id, None, "received by itself")


async def complete(tx: Tx, merchant_id: UUID, order_id: UUID, actor_id: UUID | None, reason: str) -> None:
    """The buyer has everything: parcels on their way are delivered and the after-sales window starts.

    For the system scope, or the merchant's. Raises `NotFound`, `Conflict` (`wrong_status`) unless the order is shipped.
    """
    row = await orders.transition(
        tx,
        merchant_id,
        order_id,
        ("shipped",),
        "completed",
        actor_id=actor_id,
        reason=reason,
        stamp="completed_at",
    )
    text = _RECEIVED_TEXT if reason == "received" else _BY_ITSELF_TEXT
    for parcel_id in await repository.deliver_parcels(tx, merchant_id, order_id, text):
        tx.emit(hookspecs.parcel_delivered, ParcelEvent(merchant_id, order_id, parcel_id, row["account_id"]))
    tx.emit(hookspecs.order_completed, orders.event_of(row))
    due = tx.now + timedelta(seconds=tx.env.settings.aftersales_window)
    tx.schedule("core", "release", OrderTimer(merchant_id, order_id), due)
