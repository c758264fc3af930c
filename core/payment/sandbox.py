"""A payment service to try things with. It stands for an outside one: its books are its own table, which only this
module touches, in transactions of its own; what it tells us goes through the same signed notifications and queries.

A payment stays payable after its trade expired, so that late payments can be tried; only `close` ends that.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import httpx
import msgspec

from core.db.tx import Tx
from core.kit.errors import BadRequest, Conflict, NotFound, Unauthorized
from core.kit.ids import derived_id, new_id, parse_ref, ref
from core.kit.settings import Env
from core.payment.provider import (
    Created,
    Notification,
    Outside,
    PaidLeg,
    PaidNotice,
    PaymentOrder,
    QueryResult,
    RefundOrder,
)
from core.types.scope import SYSTEM

KEY = "sandbox"
TOLERANCE = timedelta(minutes=5)
FIRST_RESEND = timedelta(seconds=5)
TIMESTAMP, SIGNATURE = "x-sandbox-timestamp", "x-sandbox-signature"

_OPEN = """
insert into sandbox_payment (id, reference, amount, legs, created_at, expires_at)
values ($1, $2, $3, $4::jsonb, $5, $6) on conflict (reference) do update set reference = excluded.reference
returning id
"""
_COLUMNS = "id, reference, amount, legs::text, status, paid_at, notified"
_READ = f"select {_COLUMNS} from sandbox_payment where reference = $1"  # noqa: S608
_LOCK = f"{_READ} for update"
_PAY = f"""
update sandbox_payment set status = 'paid', paid_at = $2 where reference = $1 and status = 'open' returning {_COLUMNS}
"""  # noqa: S608
_SET_CLOSED = "update sandbox_payment set status = 'closed' where id = $1"
_SET_SENT = (
    "update sandbox_payment set notified = notified or $2, attempts = attempts + 1 where reference = $1"
)
_SET_REFUNDED = """
update sandbox_payment set legs = $2::jsonb, refunded = refunded + $3,
  status = case when refunded + $3 = amount then 'refunded' else status end where id = $1
"""


class BookLeg(msgspec.Struct, frozen=True):
    """One merchant's share in the sandbox's books; `refunds` by refund id, in fen."""

    merchant_id: UUID
    amount: int
    transaction_id: str
    refunds: Mapping[str, int] = {}


class Message(msgspec.Struct, frozen=True):
    """Body of a notification."""

    event_id: str
    payment_id: str
    transaction_id: str
    amount: int
    legs: list[PaidLeg]
    paid_at: datetime


class NotifyDue(msgspec.Struct, frozen=True):
    """Payload of the timer `sandbox_notify`."""

    payment_id: str
    attempt: int = 0


class Booked:
    """A payment as it stood in the sandbox's books; `notified` when our side has acknowledged it."""

    __slots__ = ("notified", "row")

    def __init__(self, row: asyncpg.Record) -> None:
        self.row = row
        self.notified: bool = row["notified"]


class SandboxProvider:
    """The sandbox as a provider (see `core.payment.provider.PaymentProvider`)."""

    key = KEY

    async def create(self, outside: Outside, order: PaymentOrder) -> Created:
        """Open a payment in the sandbox's books; the same again for a repeat."""
        legs = [
            BookLeg(leg.merchant_id, leg.amount, ref(derived_id(order.payment_id, str(leg.merchant_id))))
            for leg in order.legs
        ]
        async with outside.new_tx(SYSTEM) as tx:
            sandbox_id = await tx.fetchval(
                _OPEN,
                new_id(),
                order.reference,
                order.amount,
                msgspec.json.encode(legs).decode(),
                tx.now,
                order.expires_at,
            )
        pay_url = f"/api/payments/{KEY}/{order.reference}/pay"
        return Created(ref(sandbox_id), {"payment_id": order.reference, "pay_url": pay_url})

    async def query(self, outside: Outside, payment_id: UUID) -> QueryResult:
        """How the payment stands in the sandbox's books."""
        async with outside.new_tx(SYSTEM) as tx:
            row = await tx.fetchrow(_READ, ref(payment_id))
        return _standing(row)

    async def close(self, outside: Outside, payment_id: UUID) -> QueryResult:
        """Make an open payment unpayable."""
        async with outside.new_tx(SYSTEM) as tx:
            row = await tx.fetchrow(_LOCK, ref(payment_id))
            if row is not None and row["status"] == "open":
                await tx.execute(_SET_CLOSED, row["id"])
                return QueryResult("closed")
        return _standing(row)

    async def refund(self, outside: Outside, order: RefundOrder) -> bool:
        """Send money of one leg back, at once; nothing more when that refund is in the books already.

        Raises `Conflict`: `refund_exceeds_payment`, and `refund_mismatch` for a known refund of another amount.
        """
        async with outside.new_tx(SYSTEM) as tx:
            row = await _row(tx, _LOCK, ref(order.payment_id))
            legs = _legs(row)
            index = next((i for i, leg in enumerate(legs) if leg.merchant_id == order.merchant_id), None)
            if index is None or row["status"] not in ("paid", "refunded"):
                raise Conflict("Nothing was paid here.", code="refund_exceeds_payment")
            leg = legs[index]
            known = leg.refunds.get(ref(order.refund_id))
            if known is not None and known != order.amount:
                raise Conflict("This refund is known with another amount.", code="refund_mismatch")
            if known is not None:
                return True
            if order.amount > leg.amount - sum(leg.refunds.values()):
                raise Conflict("More than is left of this payment.", code="refund_exceeds_payment")
            legs[index] = msgspec.structs.replace(
                leg, refunds={**leg.refunds, ref(order.refund_id): order.amount}
            )
            await tx.execute(_SET_REFUNDED, row["id"], msgspec.json.encode(legs).decode(), order.amount)
        return True

    def verify_notification(
        self, env: Env, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification:
        """Check the sandbox's signature over timestamp, newline and body."""
        stamp, given = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
        if not hmac.compare_digest(_signature(env, stamp, body).encode(), given.encode("utf-8", "replace")):
            raise Unauthorized("The signature does not fit.", code="bad_signature")
        if abs(now.timestamp() - int(stamp)) > TOLERANCE.total_seconds():
            raise Unauthorized("The notification is not of the last five minutes.", code="bad_signature")
        try:
            message = msgspec.json.decode(body, type=Message)
        except msgspec.MsgspecError as error:
            raise BadRequest(f"The notification cannot be read: {error}") from None
        return Notification(
            message.event_id,
            PaidNotice(
                parse_ref(message.payment_id),
                KEY,
                message.amount,
                message.legs,
                message.transaction_id,
                message.paid_at,
            ),
        )


async def pay(outside: Outside, payment_id: str) -> Booked:
    """The buyer pays: booked once, and a notification is due.

    Raises `NotFound`, `Conflict` (`payment_closed`).
    """
    async with outside.new_tx(SYSTEM) as tx:
        row = await tx.fetchrow(_PAY, payment_id, tx.now)
        if row is not None:
            tx.schedule("core", "sandbox_notify", NotifyDue(payment_id), tx.now + FIRST_RESEND)
        else:
            # A payment that is not open never becomes open again, so nothing needs to be locked.
            row = await _row(tx, _READ, payment_id)
            if row["status"] == "closed":
                raise Conflict("This payment was closed.", code="payment_closed")
    return Booked(row)


async def is_notified(tx: Tx, payment_id: str) -> bool:
    """Whether our side has acknowledged the payment; also for one that is not in the books."""
    row = await tx.fetchrow(_READ, payment_id)
    return row is None or row["notified"]


async def notify(outside: Outside, payment_id: str) -> bool:
    """Send the signed notification of a paid payment over HTTP; True once our side has acknowledged it.

    Sends nothing when it was acknowledged before. Raises `NotFound`.
    """
    async with outside.new_tx(SYSTEM) as tx:
        booked = Booked(await _row(tx, _READ, payment_id))
    return booked.notified or await send(outside, booked)


async def send(outside: Outside, booked: Booked) -> bool:
    """Send the signed notification of a paid payment over HTTP; True when our side has acknowledged it.

    One that comes a second time changes nothing on our side.
    """
    body = _message(booked.row)
    stamp = str(int(outside.clock().timestamp()))
    headers = {
        "Content-Type": "application/json",
        TIMESTAMP: stamp,
        SIGNATURE: _signature(outside.env, stamp, body),
    }
    try:
        answer = await outside.http.post(f"/api/payments/{KEY}/notifications", content=body, headers=headers)
        acknowledged = answer.status_code == 200
    except httpx.HTTPError:
        acknowledged = False
    async with outside.new_tx(SYSTEM) as tx:
        await tx.execute(_SET_SENT, booked.row["reference"], acknowledged)
    return acknowledged


def _signature(env: Env, stamp: str, body: bytes) -> str:
    return env.vault.sandbox_sign(stamp.encode("utf-8", "replace") + b"\n" + body)


def _message(row: asyncpg.Record) -> bytes:
    notice = _notice(row)
    return msgspec.json.encode(
        Message(
            ref(derived_id(row["id"], "paid")),
            row["reference"],
            notice.provider_ref,
            notice.amount,
            list(notice.legs),
            notice.paid_at,
        )
    )


def _standing(row: asyncpg.Record | None) -> QueryResult:
    if row is None:
        return QueryResult("unknown")
    return QueryResult(row["status"], _notice(row) if row["status"] in ("paid", "refunded") else None)


def _notice(row: asyncpg.Record) -> PaidNotice:
    legs = [PaidLeg(leg.merchant_id, leg.amount, leg.transaction_id) for leg in _legs(row)]
    return PaidNotice(parse_ref(row["reference"]), KEY, row["amount"], legs, ref(row["id"]), row["paid_at"])


def _legs(row: asyncpg.Record) -> list[BookLeg]:
    return msgspec.json.decode(row["legs"], type=list[BookLeg])


async def _row(tx: Tx, sql: str, payment_id: str) -> asyncpg.Record:
    row = await tx.fetchrow(sql, payment_id)
    if row is None:
        raise NotFound("The sandbox knows no such payment.")
    return row
