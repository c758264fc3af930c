"""The sandbox as a provider: calls to its server over HTTP, signed both ways (`core.sandbox`).

A payment stays payable after its trade expired, so that late payments can be tried; only `close` ends that.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal, TypeVar
from uuid import UUID

import httpx
import msgspec

from core.kit.clock import system_clock
from core.kit.errors import BadRequest, Conflict, NotFound, Unavailable
from core.kit.ids import parse_ref, ref
from core.kit.settings import Env
from core.payment.provider import (
    BillRow,
    Created,
    FinishOrder,
    Notification,
    Outside,
    PaidLeg,
    PaidNotice,
    PaymentOrder,
    PayoutOrder,
    QueryResult,
    RefundOrder,
    SplitOrder,
    SplitReturn,
    SubsidyOrder,
    base_url,
)
from core.sandbox import messages, signing
from core.sandbox.messages import Behaviour, Books, Done, Message, Notified, PaymentOut, PayOut, Problem

KEY = "sandbox"
_TIMEOUT = httpx.Timeout(10, connect=3)
T = TypeVar("T")


class SandboxProvider:
    """The sandbox as a provider (see `core.payment.provider.PaymentProvider`)."""

    key = KEY

    async def create(self, outside: Outside, order: PaymentOrder) -> Created:
        """Open a payment in the sandbox's books; the same again for a repeat. Raises `Conflict` (`payment_mismatch`)."""
        wanted = messages.PaymentIn(
            order.payment_id,
            order.amount,
            [messages.LegIn(leg.merchant_id, leg.amount) for leg in order.legs if leg.amount],
            f"{base_url(outside.env.settings)}/api/payments/{KEY}/notifications",
            order.expires_at,
            order.description,
        )
        found = await _ask(outside, "POST", "/payments", PaymentOut, wanted)
        pay_url = f"/api/payments/{KEY}/{order.reference}/pay"
        return Created(found.provider_ref, {"payment_id": order.reference, "pay_url": pay_url})

    async def query(self, outside: Outside, payment_id: UUID) -> QueryResult:
        """How the payment stands in the sandbox's books."""
        return await _standing(outside, "GET", f"/payments/{payment_id}")

    async def close(self, outside: Outside, payment_id: UUID) -> QueryResult:
        """Make an open payment unpayable."""
        return await _standing(outside, "POST", f"/payments/{payment_id}/close")

    async def refund(self, outside: Outside, order: RefundOrder) -> bool:
        """Send money of one leg back. Raises `Conflict`: `refund_exceeds_payment`, `refund_mismatch`, `not_enough`."""
        wanted = messages.RefundIn(
            *(order.refund_id, order.payment_id, order.merchant_id, order.amount, order.advance),
            order.reason[:500],
        )
        return await _done(outside, "/refunds", wanted)

    async def subsidise(self, outside: Outside, order: SubsidyOrder) -> bool:
        """Move the market's money to or from a leg. Raises `Conflict`: `not_enough`, `subsidy_mismatch`, `finished`."""
        wanted = messages.SubsidyIn(
            *(order.subsidy_id, order.payment_id, order.merchant_id, order.amount, order.back, order.advance)
        )
        return await _done(outside, "/subsidies", wanted)

    async def split(self, outside: Outside, order: SplitOrder) -> bool:
        """Share what a leg holds. Raises `Conflict`: `not_enough`, `split_mismatch`, `finished`."""
        shares = [messages.ShareIn(share.owner_id, share.amount) for share in order.shares]
        wanted = messages.SplitIn(order.split_id, order.payment_id, order.merchant_id, shares)
        return await _done(outside, "/splits", wanted)

    async def return_split(self, outside: Outside, order: SplitReturn) -> bool:
        """Take the market's share back. Raises `Conflict`: `not_enough`, `split_mismatch`."""
        wanted = messages.SplitReturnIn(order.return_id, order.payment_id, order.merchant_id, order.amount)
        return await _done(outside, "/split-returns", wanted)

    async def finish(self, outside: Outside, order: FinishOrder) -> bool:
        """Free what a leg holds. Raises `Conflict` (`not_enough`) for a leg that was not paid."""
        wanted = messages.FinishIn(order.finish_id, order.payment_id, order.merchant_id)
        return await _done(outside, "/finishes", wanted)

    async def pay_out(self, outside: Outside, order: PayoutOrder) -> Literal["working", "paid", "returned"]:
        """Send a merchant's balance to its bank. Raises `Conflict`: `not_enough`, `payout_mismatch`."""
        wanted = messages.PayoutIn(order.payout_id, order.merchant_id, order.amount, order.recovered)
        found = await _ask(outside, "POST", "/payouts", Done, wanted)
        return "paid" if found.status == "done" else found.status

    async def bill(self, outside: Outside, day: date) -> Sequence[BillRow]:
        """All movements of a day. What finishing freed is none: it stays with its merchant."""
        found = await _ask(outside, "GET", f"/bill?day={day.isoformat()}", messages.Bill)
        return [
            BillRow(line.kind, ref(line.id), line.merchant_id, line.amount, line.at, line.advance)
            for line in found.lines
            if line.kind != "finish"
        ]

    def verify_notification(
        self, env: Env, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification:
        """Check the sandbox's signature over timestamp, newline and body."""
        signing.check_notification(env.vault.sandbox_sign, headers, body, now.timestamp())
        try:
            message = msgspec.json.decode(body, type=Message)
        except msgspec.MsgspecError as error:
            raise BadRequest(f"The notification cannot be read: {error}") from None
        legs = [PaidLeg(leg.merchant_id, leg.amount, leg.gateway_ref) for leg in message.legs]
        return Notification(
            message.event_id,
            PaidNotice(
                *(parse_ref(message.payment_id), KEY, message.amount, legs),
                *(message.transaction_id, message.paid_at),
            ),
        )


async def pay(outside: Outside, payment_id: UUID, *, notify: bool = True, late: bool = False) -> PayOut:
    """The buyer pays. The sandbox books it and sends its notification before it answers, unless it was told to behave
    otherwise; `late` pays even what was closed.

    Raises `NotFound`, `Conflict` (`payment_closed`), `Unavailable`.
    """
    return await _ask(outside, "POST", f"/payments/{payment_id}/pay", PayOut, messages.PayIn(notify, late))


async def books(outside: Outside) -> Books:
    """All balances that the sandbox keeps for this market. Raises `Unavailable`."""
    return await _ask(outside, "GET", "/books", Books)


async def behave(outside: Outside, behaviour: Behaviour) -> None:
    """Have the sandbox misbehave from now on. Raises `Unavailable`."""
    await _ask(outside, "PUT", "/behaviour", Behaviour, behaviour)


async def notify(outside: Outside) -> Notified:
    """Have the sandbox send now what this market has not acknowledged. Raises `Unavailable`."""
    return await _ask(outside, "POST", "/notifications/send", Notified)


async def _done(outside: Outside, path: str, wanted: msgspec.Struct) -> bool:
    return (await _ask(outside, "POST", path, Done, wanted)).status == "done"


async def _standing(outside: Outside, method: str, path: str) -> QueryResult:
    try:
        found = await _ask(outside, method, path, PaymentOut)
    except NotFound:
        return QueryResult("unknown")
    if found.paid_at is None:
        return QueryResult(found.status)
    legs = [PaidLeg(leg.merchant_id, leg.amount, leg.gateway_ref) for leg in found.legs]
    notice = PaidNotice(found.payment_id, KEY, found.amount, legs, found.provider_ref, found.paid_at)
    return QueryResult(found.status, notice)


async def _ask(
    outside: Outside, method: str, target: str, answer: type[T], body: msgspec.Struct | None = None
) -> T:
    """One signed call. Raises `Unavailable` when the outcome is not known."""
    settings, sign = outside.env.settings, outside.env.vault.sandbox_sign
    if not settings.sandbox_url:
        raise Unavailable("No sandbox payment service is set up; see JISHI_SANDBOX_URL.")
    content = b"" if body is None else msgspec.json.encode(body)
    # Of this moment whatever time it is for the market, which tests move: the age of a request is about replays.
    now = int(system_clock().timestamp())
    headers = signing.request_headers(sign, settings.sandbox_account, method, target, content, now)
    url = settings.sandbox_url.rstrip("/") + target
    try:
        found = await outside.http.request(
            method, url, content=content, headers=headers, timeout=_TIMEOUT, follow_redirects=False
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"The sandbox payment service does not answer: {error!r}") from None
    nonce = headers[signing.NONCE]
    if not signing.is_answer(sign, found.headers, nonce, found.status_code, found.content):
        raise Unavailable(f"The answer ({found.status_code}) is not the sandbox payment service's own.")
    return _read(found, answer)


def _read(found: httpx.Response, answer: type[T]) -> T:
    try:
        if found.is_success:
            return msgspec.json.decode(found.content, type=answer)
        problem = msgspec.json.decode(found.content, type=Problem)
    except msgspec.MsgspecError as error:
        raise Unavailable(f"The sandbox payment service's answer cannot be read: {error}") from None
    if found.status_code >= 500:
        raise Unavailable(problem.detail)
    if found.status_code == 404:
        raise NotFound(problem.detail)
    raise Conflict(problem.detail, code=problem.code)
