"""What buyer, shop and market do with a case, and what follows when they do nothing. All for the system scope; each locks
the order's row first, so that cases, refunds, parcels and the release never cross.

Money, stock and all that hangs on a refund move in one place only, `core.aftersales.service.decide`.
"""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

import asyncpg

from core.aftersales import service as refunding
from core.aftersales.cases import moving, replacing, repository, views
from core.aftersales.cases.applying import said
from core.aftersales.cases.machine import Event, Party
from core.aftersales.cases.repository import Deed, Facts
from core.aftersales.cases.schemas import (
    AgreeIn,
    DecideIn,
    ReceiveIn,
    ReshipIn,
    ReturnParcelIn,
)
from core.db.tx import Tx
from core.identity.addresses import checked
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import parse_pair
from core.kit.text import clean
from core.orders import address as addresses
from core.orders import service as orders


class Case(NamedTuple):
    """A case and its order, both as they are under the lock."""

    order: asyncpg.Record
    row: asyncpg.Record

    @property
    def goods_back(self) -> bool:
        """Whether it is about goods that are sent back."""
        return bool(self.row["kind"] != "refund_only")


class Actor(NamedTuple):
    """Who acts."""

    party: Party
    account_id: UUID | None = None

    def deed(self, event: Event, note: str = "") -> Deed:
        """That this event is theirs."""
        return Deed(event, self.party, self.account_id, note)


SILENCE = Actor("system")


async def opened(tx: Tx, merchant_id: UUID, case_id: UUID, account_id: UUID | None = None) -> Case:
    """The case, with its order's row locked. Raises `NotFound`, with `account_id` also for somebody else's."""
    seen = await repository.one(tx, merchant_id, case_id, account_id)
    if seen is None:
        raise NotFound("No such after-sales case.")
    order = await orders.locked(tx, merchant_id, seen["order_id"])
    row = await repository.one(tx, merchant_id, case_id, account_id)
    assert row is not None
    return Case(order, row)


async def cancel(tx: Tx, case: Case, by: Actor) -> None:
    """The buyer takes it back. Raises `Conflict`."""
    await moving.move(tx, case.order, case.row, by.deed(Event.CANCEL))


async def send_back(tx: Tx, case: Case, by: Actor, data: ReturnParcelIn) -> None:
    """The buyer has sent the goods. Again with the same parcel changes nothing. Raises `Conflict`, `Invalid`."""
    carrier, waybill_no = _line(data.carrier).lower(), _line(data.waybill_no)
    given = {"carrier": carrier, "waybill_no": waybill_no}
    missing = [FieldError(name, "required", f"Give {name}.") for name, value in given.items() if not value]
    if missing:
        raise Invalid("A parcel needs a carrier and a waybill number.", *missing)
    facts = Facts(carrier=carrier, waybill_no=waybill_no)
    row = await moving.move(tx, case.order, case.row, by.deed(Event.SEND), facts)
    if (row["carrier"], row["waybill_no"]) != (carrier, waybill_no):
        raise Conflict("Another parcel is on its way already.", code="wrong_status", aftersale_status="sent")


async def arbitrate(tx: Tx, case: Case, by: Actor, reason: str) -> None:
    """The buyer asks the market to decide. Raises `Conflict`."""
    await moving.move(tx, case.order, case.row, by.deed(Event.ARBITRATE, clean(reason).strip()))


async def confirm(tx: Tx, case: Case, by: Actor) -> None:
    """The buyer has the replacement. Raises `Conflict`."""
    await moving.move(tx, case.order, case.row, by.deed(Event.CONFIRM))


async def agree(tx: Tx, case: Case, by: Actor, data: AgreeIn) -> None:
    """The shop agrees: a refund goes out at once if the goods stay, otherwise the buyer's parcel is awaited. Once it has
    agreed, again changes nothing, except that a return address is taken where there is none.

    Raises `Invalid` without a return address; `Conflict`: `wrong_status`, `on_hold`, `out_of_stock` for an exchange that
    cannot be, `refund_exceeds` for more freight than is left; and as `core.aftersales.service.decide`.
    """
    address = await _return_address(tx, case, data) if case.goods_back else None
    found = moving.look(case.row, by.deed(Event.AGREE))
    if not found.moves:
        await _add_address(tx, case, by, address)
        return
    await orders.refuse_held(tx, case.order["merchant_id"], case.order["id"])
    if case.goods_back and address is None and by.party != "system":
        detail = "Say where goods are to be sent back to."
        raise Invalid(detail, FieldError("return_address", "required", detail))
    _check_freight(case.order, data.shipping_amount)
    if data.as_ is not None and case.row["kind"] == "exchange":
        case = Case(case.order, await moving.move(tx, case.order, case.row, by.deed(Event.CONVERT)))
    if case.row["kind"] == "exchange":
        await replacing.refuse_short(tx, case.row)
    facts = Facts(
        fault="merchant" if data.shipping_amount else None,
        shipping_amount=data.shipping_amount,
        return_address=address,
    )
    case = Case(case.order, await moving.move(tx, case.order, case.row, by.deed(Event.AGREE), facts))
    if not case.goods_back:
        await _pay_back(tx, case, by, ())


async def refuse(tx: Tx, case: Case, by: Actor, reason: str) -> None:
    """The shop refuses what is asked for, or what came back. Raises `Conflict`, `Invalid` without a reason."""
    why = said(reason, "reason")
    await moving.move(tx, case.order, case.row, by.deed(Event.REFUSE, why), Facts(refusal=why))


async def receive(tx: Tx, case: Case, by: Actor, data: ReceiveIn) -> None:
    """The goods came back: their refund goes out, or their replacement is due. Those that can be sold are on hand again.

    Raises `NotFound` for a line that the case is not about; `Conflict`; and as `core.aftersales.service.decide`.
    """
    if not data.accepted:
        if case.row["status"] not in ("sent", "refused"):
            moving.look(case.row, by.deed(Event.RECEIVE))
            raise Conflict(
                "What came back was taken already.",
                code="wrong_status",
                aftersale_status=case.row["status"],
            )
        await refuse(tx, case, by, data.reason)
        return
    units = await repository.lines(tx, case.row["merchant_id"], case.row["id"])
    sellable = _sellable(case.row["merchant_id"], [line_id for line_id, _ in units], data)
    await _received(tx, case, by, sellable)


async def reship(tx: Tx, case: Case, by: Actor, parcel: ReshipIn) -> None:
    """The replacement leaves. Raises `Conflict`: `wrong_status`, `out_of_stock`; and whatever a plugin refuses."""
    if parcel.lines is not None:
        detail = "The lines are those of the case; name none."
        raise Invalid(detail, FieldError("lines", "unexpected", detail))
    row = await moving.move(tx, case.order, case.row, by.deed(Event.RESHIP))
    if row is not case.row:
        await replacing.ship(tx, case.order, row, parcel, by.account_id)


async def convert(tx: Tx, case: Case, by: Actor) -> None:
    """An exchange becomes a return with refund; if the goods are back already, the money goes out. Raises `Conflict`."""
    row = await moving.move(tx, case.order, case.row, by.deed(Event.CONVERT))
    if row["status"] == "received":
        # What could be sold is on hand again since the goods came back.
        await _pay_back(tx, Case(case.order, row), by, ())


async def decide(tx: Tx, case: Case, by: Actor, data: DecideIn) -> None:
    """The market decides, asked or not, whatever holds the order.

    Raises `Conflict`: `wrong_status` once money goes back or the case is over, `refund_exceeds` for more than was paid.
    """
    why = said(data.reason, "reason")
    if data.outcome == "reject":
        await moving.move(tx, case.order, case.row, by.deed(Event.DECIDE_REJECT, why))
        return
    moving.look(case.row, by.deed(Event.DECIDE_REFUND))
    _check_freight(case.order, data.shipping_amount)
    worth = await views.estimate(tx, case.order, case.row, shipping=data.shipping_amount)
    if data.amount is not None and data.amount > worth.goods:
        raise Conflict(
            f"These units were paid with {worth.goods} fen; no more can go back.",
            code="refund_exceeds",
            left=worth.goods,
        )
    facts = Facts(
        fault="merchant" if data.shipping_amount else None,
        shipping_amount=data.shipping_amount,
    )
    row = await moving.move(tx, case.order, case.row, by.deed(Event.DECIDE_REFUND, why), facts)
    # Of an order that is closed by this, all of the freight goes back with the goods.
    most = None if data.amount is None else data.amount + worth.shipping
    await _refund(tx, Case(case.order, row), by, (), why, most)


async def silence(tx: Tx, merchant_id: UUID, case_id: UUID) -> None:
    """The case's deadline has come: whoever did not answer has agreed, given up or received. Raises as the steps do."""
    case = await opened(tx, merchant_id, case_id)
    if case.row["deadline"] is None or case.row["deadline"] > tx.now:
        return
    match case.row["status"]:
        case "applied":
            short = case.row["kind"] == "exchange" and await repository.short_of(tx, merchant_id, case_id)
            await agree(tx, case, SILENCE, AgreeIn(as_="refund" if short else None))
        case "agreed":
            # Without an address the buyer could not send anything.
            lost = case.row["return_address"] is None
            event = Event.ESCALATE if lost else Event.LAPSE
            await moving.move(tx, case.order, case.row, SILENCE.deed(event))
        case "sent":
            await _received(tx, case, SILENCE, ())
        case "received":
            await convert(tx, case, SILENCE)
        case "reshipped":
            await confirm(tx, case, SILENCE)
        case "refused":
            await moving.move(tx, case.order, case.row, SILENCE.deed(Event.LAPSE))


async def _received(tx: Tx, case: Case, by: Actor, sellable: Collection[UUID]) -> None:
    row = await moving.move(tx, case.order, case.row, by.deed(Event.RECEIVE))
    if row is case.row:
        return
    if row["kind"] == "exchange":
        await replacing.take_back(tx, row, sellable)
    else:
        await _pay_back(tx, Case(case.order, row), by, sellable)


async def _pay_back(tx: Tx, case: Case, by: Actor, sellable: Collection[UUID]) -> None:
    row = await moving.move(tx, case.order, case.row, by.deed(Event.REFUND))
    await _refund(tx, Case(case.order, row), by, sellable, row["reason"], None)


async def _refund(
    tx: Tx, case: Case, by: Actor, sellable: Collection[UUID], reason: str, most: int | None
) -> None:
    row, order = case.row, case.order
    merchant_id = row["merchant_id"]
    made = await refunding.decide(
        tx,
        merchant_id,
        order["id"],
        await repository.lines(tx, merchant_id, row["id"]),
        shipping=min(row["shipping_amount"], order["shipping_amount"] - order["refunded_shipping"]),
        restock=case.goods_back,
        origin=by.party,
        actor_id=by.account_id,
        reason=reason[:200],
        aftersale_id=row["id"],
        sellable=frozenset(sellable),
        at_most=most,
    )
    await repository.set_refund(tx, merchant_id, row["id"], made.id)


async def _return_address(tx: Tx, case: Case, data: AgreeIn) -> bytes | None:
    """The address given, or the one last used, sealed for this case; None when there is neither."""
    vault, row = tx.env.vault, case.row
    if data.return_address is not None:
        return views.seal(vault, row["id"], checked(data.return_address))
    if row["return_address"] is not None:
        return None
    last = await repository.last_return_address(tx, row["merchant_id"])
    if last is None:
        return None
    found: addresses.Address = views.unseal(vault, last["id"], last["return_address"])
    return views.seal(vault, row["id"], found)


async def _add_address(tx: Tx, case: Case, by: Actor, address: bytes | None) -> None:
    """Silence had agreed without an address: the buyer's time begins once there is one."""
    row = case.row
    if row["status"] != "agreed" or row["return_address"] is not None or address is None:
        return
    found = moving.look(row, by.deed(Event.AGREE))
    deadline = moving.due_at(tx.env.settings, found, tx.now)
    moved = await repository.move(
        tx, row, found, by.deed(Event.AGREE), deadline, Facts(return_address=address)
    )
    if moved is not None:
        moving.tell(tx, moved, row["status"])


def _check_freight(order: asyncpg.Record, amount: int) -> None:
    left = order["shipping_amount"] - order["refunded_shipping"]
    if amount > left:
        raise Conflict(
            f"Only {left} fen of the freight are not refunded yet.", code="refund_exceeds", shipping_left=left
        )


def _sellable(merchant_id: UUID, lines: Collection[UUID], data: ReceiveIn) -> frozenset[UUID]:
    told = {parse_pair(line.line_id): line.restock for line in data.lines}
    if any(owner != merchant_id or line_id not in lines for owner, line_id in told):
        raise NotFound("This case is about no such line.")
    return frozenset(x for x in lines if told.get((merchant_id, x), data.restock))


def _line(text: str) -> str:
    return " ".join(clean(text).split())
