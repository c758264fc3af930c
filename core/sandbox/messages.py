"""What the sandbox and a market tell each other, as JSON. Amounts in fen, times in UTC with zone."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

# A thousand million yuan; any sum of them fits into 64 bits.
_MOST = 10**11
Amount = Annotated[int, Meta(gt=0, le=_MOST)]
Part = Annotated[int, Meta(ge=0, le=_MOST)]
Percent = Annotated[int, Meta(ge=0, le=100)]
Milliseconds = Annotated[int, Meta(ge=0, le=3_600_000)]
PaymentStatus = Literal["open", "paid", "closed", "refunded"]
Kind = Literal[
    "pay",
    "refund",
    "subsidise",
    "return_subsidy",
    "split",
    "return_split",
    "finish",
    "pay_out",
    "payout_returned",
]


class LegIn(msgspec.Struct, frozen=True):
    """One merchant's share of a payment."""

    merchant_id: UUID
    amount: Amount


class PaymentIn(msgspec.Struct, frozen=True):
    """Open a payment; the same again is the same payment."""

    payment_id: UUID
    amount: Amount
    legs: Annotated[Sequence[LegIn], Meta(min_length=1, max_length=200)]
    notify_url: Annotated[str, Meta(max_length=500)]
    expires_at: datetime
    description: Annotated[str, Meta(max_length=200)] = ""


class PayIn(msgspec.Struct, frozen=True):
    """The buyer pays. `notify: false`: the first notification gets lost; `late`: even though the payment was closed, as when
    both happen at once."""

    notify: bool = True
    late: bool = False


class PayOut(msgspec.Struct, frozen=True):
    """It is paid; `notified` when the market has acknowledged it."""

    status: str
    notified: bool


class LegOut(msgspec.Struct, frozen=True):
    """A share as booked: `frozen` is held until it is finished."""

    merchant_id: UUID
    amount: int
    gateway_ref: str
    refunded: int
    frozen: int
    finished: bool


class PaymentOut(msgspec.Struct, frozen=True):
    """How a payment stands."""

    payment_id: UUID
    provider_ref: str
    amount: int
    status: PaymentStatus
    paid_at: datetime | None
    legs: Sequence[LegOut]


class RefundIn(msgspec.Struct, frozen=True):
    """Send `amount` of a leg back to the buyer, `advance` of it from the market's funds."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    amount: Amount
    advance: Part = 0
    reason: Annotated[str, Meta(max_length=500)] = ""


class SubsidyIn(msgspec.Struct, frozen=True):
    """Money of the market's funds for a leg, or with `back` from it."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    amount: Amount
    back: bool = False
    advance: Part = 0


class ShareIn(msgspec.Struct, frozen=True):
    """Part of a leg for the market or an earner."""

    owner_id: UUID
    amount: Amount


class SplitIn(msgspec.Struct, frozen=True):
    """Give shares of a leg to others."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    shares: Annotated[Sequence[ShareIn], Meta(min_length=1, max_length=200)]


class SplitReturnIn(msgspec.Struct, frozen=True):
    """Take of the market's share of a leg back."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    amount: Amount


class FinishIn(msgspec.Struct, frozen=True):
    """Free what a leg holds."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID


class PayoutIn(msgspec.Struct, frozen=True):
    """Send money of a merchant's balance to its bank, and `recovered` more of it to the market's funds."""

    id: UUID
    merchant_id: UUID
    amount: Part
    recovered: Part = 0


class Done(msgspec.Struct, frozen=True):
    """How an operation stands: `working`, `done`, or for a payout `returned` by the bank."""

    status: Literal["working", "done", "returned"]


class BillLine(msgspec.Struct, frozen=True):
    """One operation as booked. `id` is the payment's for `pay`; `advance` is what of it was the market's own."""

    kind: Kind
    id: UUID
    merchant_id: UUID
    amount: int
    advance: int
    at: datetime


class Bill(msgspec.Struct, frozen=True):
    """All operations of a day (of UTC+8)."""

    day: date
    lines: Sequence[BillLine]


class FrozenLeg(msgspec.Struct, frozen=True):
    """What a leg holds."""

    payment_id: UUID
    merchant_id: UUID
    amount: int


class Books(msgspec.Struct, frozen=True):
    """All balances of a market, positive but for `funds`, which may go below 0. `buyers` is what buyers paid less what they
    got back: the sum of all others."""

    buyers: int
    funds: int
    merchants: Mapping[UUID, int]
    earners: Mapping[UUID, int]
    banks: Mapping[UUID, int]
    frozen: Sequence[FrozenLeg]


class Message(msgspec.Struct, frozen=True):
    """Body of a notification; ids are opaque strings as clients know them."""

    event_id: str
    payment_id: str
    transaction_id: str
    amount: int
    legs: Sequence["MessageLeg"]
    paid_at: datetime


class MessageLeg(msgspec.Struct, frozen=True):
    """A captured share."""

    merchant_id: UUID
    amount: int
    gateway_ref: str


class Behaviour(msgspec.Struct, frozen=True):
    """How the service misbehaves towards a market. Shares are in percent and drawn from `seed`, so that they come again.

    `notify_delay` ms and up to `notify_shuffle` ms more, so that notifications overtake each other; `notify_copies` more of
    each; `notify_lost` fails the first time, `notify_wrong` tells a wrong amount. `fail_before` refuses a call with 503
    before anything is booked, `fail_after` books and loses the answer. An operation is `working` for the first `working`
    times it is asked for. `payouts_returned` come back from the bank.
    """

    notify_delay: Milliseconds = 0
    notify_shuffle: Milliseconds = 0
    notify_copies: Annotated[int, Meta(ge=0, le=10)] = 0
    notify_lost: Percent = 0
    notify_wrong: Percent = 0
    fail_before: Percent = 0
    fail_after: Percent = 0
    working: Annotated[int, Meta(ge=0, le=100)] = 0
    payouts_returned: Percent = 0
    seed: Annotated[int, Meta(ge=0, le=2**53)] = 0


class Notified(msgspec.Struct, frozen=True):
    """Notifications that were due: how many there were, and how many the market acknowledged."""

    sent: int
    acknowledged: int


class Problem(msgspec.Struct, frozen=True):
    """Why a request was refused."""

    code: str
    detail: str
