"""What a payment service must be able to do, and the frozen structs that go there and back.

A provider is called with no transaction open. It never decides what its answer means for a trade: it reports, and
`core.payment.applying` compares with our own books before anything changes. Amounts in fen.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from core.db.outside import Outside
from core.kit.ids import ref
from core.kit.settings import Env, Settings

__all__ = [
    "BillRow",
    "Created",
    "FinishOrder",
    "Leg",
    "Notification",
    "Outside",
    "PaidLeg",
    "PaidNotice",
    "PaymentOrder",
    "PaymentProvider",
    "PayoutOrder",
    "QueryResult",
    "RefundOrder",
    "Share",
    "SplitOrder",
    "SplitReturn",
    "SubsidyOrder",
    "base_url",
]


class Leg(msgspec.Struct, frozen=True):
    """One merchant's share of a payment, above 0."""

    merchant_id: UUID
    amount: int


class PaidLeg(msgspec.Struct, frozen=True):
    """A captured share and the gateway's own transaction for it."""

    merchant_id: UUID
    amount: int
    gateway_ref: str


class PaymentOrder(msgspec.Struct, frozen=True):
    """What the service is asked to collect. The same `payment_id` asked again is the same payment."""

    payment_id: UUID
    account_id: UUID
    amount: int
    legs: Sequence[Leg]
    description: str
    expires_at: datetime

    @property
    def reference(self) -> str:
        """Our id as the service and clients see it."""
        return ref(self.payment_id)


class Created(msgspec.Struct, frozen=True):
    """The service's id of the payment and what the client hands to its payment call."""

    provider_ref: str
    client: Mapping[str, str]


class PaidNotice(msgspec.Struct, frozen=True):
    """The service says that a payment was captured."""

    payment_id: UUID
    provider: str
    amount: int
    legs: Sequence[PaidLeg]
    provider_ref: str
    paid_at: datetime


class Notification(msgspec.Struct, frozen=True):
    """A verified message of the service; `event_id` is the same when it is sent again."""

    event_id: str
    paid: PaidNotice


class QueryResult(msgspec.Struct, frozen=True):
    """What the service says about a payment now; `paid` when it was captured."""

    status: Literal["open", "paid", "closed", "refunded", "unknown"]
    paid: PaidNotice | None = None


class RefundOrder(msgspec.Struct, frozen=True):
    """Send `amount` fen of one leg back to the buyer, `advance` of it from the market's own money because the merchant has
    not got it any more. The same `refund_id` asked again is the same refund."""

    refund_id: UUID
    payment_id: UUID
    merchant_id: UUID
    amount: int
    reason: str
    advance: int = 0


class SubsidyOrder(msgspec.Struct, frozen=True):
    """Add `amount` fen of the market's money to what a leg holds, or with `back` return as much of it to the market. Of a
    leg that is finished it is returned from the merchant's balance, `advance` of it being the market's own already. A leg
    that the buyer paid nothing for, which the service was never told of, begins with it."""

    subsidy_id: UUID
    payment_id: UUID
    merchant_id: UUID
    amount: int
    back: bool = False
    advance: int = 0


class Share(msgspec.Struct, frozen=True):
    """Part of a leg for somebody else than its merchant: the market itself, or an earner's account."""

    owner_id: UUID
    amount: int


class SplitOrder(msgspec.Struct, frozen=True):
    """Give shares of what a leg holds to others. The same `split_id` asked again is the same split."""

    split_id: UUID
    payment_id: UUID
    merchant_id: UUID
    shares: Sequence[Share]


class SplitReturn(msgspec.Struct, frozen=True):
    """Take `amount` fen of the market's share of a leg back to the merchant's balance. Only the market's own share can be
    taken back; people keep theirs."""

    return_id: UUID
    payment_id: UUID
    merchant_id: UUID
    amount: int


class FinishOrder(msgspec.Struct, frozen=True):
    """Nothing more of a leg will be split: what it holds becomes the merchant's balance at the service."""

    finish_id: UUID
    payment_id: UUID
    merchant_id: UUID


class PayoutOrder(msgspec.Struct, frozen=True):
    """Send `amount` fen of a merchant's balance to its bank. `recovered` more fen of it go to the market, which had advanced
    them. The same `payout_id` asked again is the same payout."""

    payout_id: UUID
    merchant_id: UUID
    amount: int
    recovered: int = 0


class BillRow(msgspec.Struct, frozen=True):
    """One movement of money as the service books it. `reference` is the id that we gave it; `amount` is positive, its
    direction is in `kind`. `advance`: what of it was the market's own money, of a payout what more of it the market got."""

    kind: Literal[
        "pay", "refund", "subsidise", "return_subsidy", "split", "return_split", "pay_out", "payout_returned"
    ]
    reference: str
    merchant_id: UUID
    amount: int
    at: datetime
    advance: int = 0


class PaymentProvider(Protocol):
    """A payment service. Every method raises `Unavailable` when the outcome is not known: ask again or query."""

    @property
    def key(self) -> str:
        """What clients send as `provider`."""

    async def create(self, outside: Outside, order: PaymentOrder) -> Created:
        """Open a payment."""

    async def query(self, outside: Outside, payment_id: UUID) -> QueryResult:
        """Ask how a payment stands; `unknown` for one the service never heard of."""

    async def close(self, outside: Outside, payment_id: UUID) -> QueryResult:
        """Make an open payment unpayable; the answer is how it stands afterwards (it may have been paid just before)."""

    async def refund(self, outside: Outside, order: RefundOrder) -> bool:
        """Send money back. True when it is done, False while the service still works on it.

        Raises `Conflict`: `refund_exceeds_payment` for more than is left of the leg, `refund_mismatch` for a known refund
        with another amount, `not_enough` while the merchant's balance does not hold it.
        """

    async def subsidise(self, outside: Outside, order: SubsidyOrder) -> bool:
        """Move the market's money to or from a leg. True when it is done, False while the service still works on it.
        Raises `Conflict` (`not_enough`, `subsidy_mismatch`)."""

    async def split(self, outside: Outside, order: SplitOrder) -> bool:
        """Share what a leg holds. True when it is done. Raises `Conflict` (`not_enough`, `split_mismatch`, `finished`)."""

    async def return_split(self, outside: Outside, order: SplitReturn) -> bool:
        """Take the market's share back. True when it is done. Raises `Conflict` (`not_enough`, `split_mismatch`)."""

    async def finish(self, outside: Outside, order: FinishOrder) -> bool:
        """Free what a leg holds. True when it is done; finishing again changes nothing."""

    async def pay_out(self, outside: Outside, order: PayoutOrder) -> Literal["working", "paid", "returned"]:
        """Send a merchant's balance to its bank; asked again, how that stands. One that the bank returned is on the balance
        again, and the market keeps what it recovered. Raises `Conflict` (`not_enough`, `payout_mismatch`)."""

    async def bill(self, outside: Outside, day: date) -> Sequence[BillRow]:
        """All movements that the service booked on a day (of UTC+8), in no particular order."""

    def verify_notification(
        self, env: Env, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Notification:
        """Check signature and age, then read. `headers` have lower-case names.

        Raises `Unauthorized` (`bad_signature`) for a message that is not the service's or is older or newer than five
        minutes, `BadRequest` for a body that cannot be read.
        """


def base_url(settings: Settings) -> str:
    """Where this deployment is reached by payment services."""
    host = "127.0.0.1" if settings.host in ("", "0.0.0.0", "::") else settings.host  # noqa: S104 - compared only
    return settings.public_url.rstrip("/") or f"http://{host}:{settings.port}"
