"""Payloads of core's events. Stored as JSON with the event, so fields are only ever added."""

from uuid import UUID

import msgspec


class OrderEvent(msgspec.Struct, frozen=True):
    """Something happened to one order."""

    merchant_id: UUID
    order_id: UUID
    trade_id: UUID
    account_id: UUID


class TradeEvent(msgspec.Struct, frozen=True):
    """Something happened to one trade."""

    trade_id: UUID
    account_id: UUID


class ParcelEvent(msgspec.Struct, frozen=True):
    """Something happened to one parcel."""

    merchant_id: UUID
    order_id: UUID
    parcel_id: UUID
    account_id: UUID


class ProductsEvent(msgspec.Struct, frozen=True):
    """Products of one merchant were created or changed."""

    merchant_id: UUID
    product_ids: tuple[UUID, ...]


class MerchantEvent(msgspec.Struct, frozen=True):
    """A merchant's status or public facts changed."""

    merchant_id: UUID
    status: str


class AccountEvent(msgspec.Struct, frozen=True):
    """An account was registered."""

    account_id: UUID


class RefundEvent(msgspec.Struct, frozen=True):
    """The money of a refund was sent back. `whole_order`: nothing of the order is left with the buyer."""

    merchant_id: UUID
    order_id: UUID
    trade_id: UUID
    account_id: UUID
    refund_id: UUID
    whole_order: bool


class AftersaleEvent(msgspec.Struct, frozen=True):
    """A buyer's case went from one status to another."""

    merchant_id: UUID
    order_id: UUID
    account_id: UUID
    aftersale_id: UUID
    kind: str
    old_status: str
    new_status: str


class PayoutEvent(msgspec.Struct, frozen=True):
    """A payout reached the merchant's bank (`paid`) or came back (`returned`). `amount` in fen."""

    merchant_id: UUID
    payout_id: UUID
    amount: int
    status: str


class VisitEvent(msgspec.Struct, frozen=True):
    """Somebody, known by a pseudonym only, opened a page; what brought them, and the shop or product that it shows."""

    pseudonym: UUID
    kind: str
    reference: str
    merchant_id: UUID | None = None
    product_id: UUID | None = None
