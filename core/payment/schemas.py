"""Payments on the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from core.kit.ids import ref


class PaymentIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the buyer wants to pay."""

    provider: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class PaymentOut(msgspec.Struct, frozen=True):
    """A payment was opened; `client` is what the mini-program hands to the payment call."""

    id: str
    status: str
    client: Mapping[str, str]


class PaymentView(msgspec.Struct, frozen=True):
    """How a payment stands: `created`, `paid`, `closed`, `refunding` or `refunded`. `amount` in fen."""

    id: str
    trade_id: str
    provider: str
    amount: int
    status: str
    client: Mapping[str, str]
    expires_at: datetime
    paid_at: datetime | None


class Acknowledged(msgspec.Struct, frozen=True):
    """A notification was understood; the service need not send it again."""

    code: str = "SUCCESS"


class SandboxPayIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`notify: false` acts out a notification that is lost on its way; it is sent again later."""

    notify: bool = True


class SandboxPayOut(msgspec.Struct, frozen=True):
    """The sandbox's buyer has paid; `notified` when our side has acknowledged it."""

    status: str
    notified: bool


class CallView(msgspec.Struct, frozen=True):
    """Something that a payment service is asked for: `waiting`, `done` or `refused`, with the last `error`. `order_id` is
    missing for a payout. Amounts in fen."""

    id: str
    kind: str
    provider: str
    merchant_id: str
    payment_id: str | None
    order_id: str | None
    amount: int
    status: str
    tries: int
    error: str | None
    created_at: datetime
    done_at: datetime | None


class PayoutIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to pay; without a merchant, all who are owed something."""

    merchant_id: Annotated[str, msgspec.Meta(min_length=1, max_length=60)] | None = None


class PayoutView(msgspec.Struct, frozen=True):
    """Money sent to a merchant's bank: `sending`, `paid`, or `returned` by the bank, when it is owed again. `netted` more of
    what the merchant was owed paid for what it owed itself. Amounts in fen."""

    id: str
    merchant_id: str
    number: str
    amount: int
    netted: int
    status: str
    reason: str
    created_at: datetime
    done_at: datetime | None


class PayoutsStarted(msgspec.Struct, frozen=True):
    """How many merchants are paid; `items` are the payouts that were made out already."""

    started: int
    items: list[PayoutView] = []


class PayoutOrderView(msgspec.Struct, frozen=True):
    """What an order brought to a payout, less what refunds took of it, in fen."""

    order_id: str
    number: str
    amount: int


def call_view(row: Any) -> CallView:
    """The wire form of a call's row."""
    shop, payment_id, order_id = row["merchant_id"], row["payment_id"], row["order_id"]
    return CallView(
        ref(shop, row["id"]),
        row["kind"],
        row["provider"],
        ref(shop),
        None if payment_id is None else ref(payment_id),
        None if order_id is None else ref(shop, order_id),
        row["amount"],
        row["status"],
        row["tries"],
        row["error"],
        row["created_at"],
        row["done_at"],
    )


def payout_view(row: Any) -> PayoutView:
    """The wire form of a payout's row."""
    return PayoutView(
        ref(row["merchant_id"], row["id"]),
        ref(row["merchant_id"]),
        row["number"],
        row["amount"],
        row["netted"],
        row["status"],
        row["reason"],
        row["created_at"],
        row["done_at"],
    )


def payout_order_view(merchant_id: UUID, row: Any) -> PayoutOrderView:
    """The wire form of an order in a payout."""
    return PayoutOrderView(ref(merchant_id, row["order_id"]), row["number"], row["amount"])
