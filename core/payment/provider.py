"""What a payment service must be able to do, and the frozen structs that go there and back.

A provider is called with no transaction open. It never decides what its answer means for a trade: it reports, and
`core.payment.applying` compares with our own books before anything changes. Amounts in fen.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from core.db.outside import Outside
from core.kit.ids import ref
from core.kit.settings import Env, Settings

__all__ = [
    "Created",
    "Leg",
    "Notification",
    "Outside",
    "PaidLeg",
    "PaidNotice",
    "PaymentOrder",
    "PaymentProvider",
    "QueryResult",
    "RefundOrder",
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
    """Send `amount` fen of one leg back. The same `refund_id` asked again is the same refund."""

    refund_id: UUID
    payment_id: UUID
    merchant_id: UUID
    amount: int
    reason: str


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
        with another amount.
        """

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
