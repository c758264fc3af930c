"""What checkout takes and refuses with."""

from typing import Annotated

import msgspec
from msgspec import Meta

from core.cart.schemas import QuoteRequest
from core.types.orders import Closing

Remark = Annotated[str, Meta(max_length=200)]


class CheckoutRequest(QuoteRequest, frozen=True, kw_only=True):
    """A quote request, what the buyer saw as payable (fen), and a remark for each merchant id."""

    expected_payable: Annotated[int, Meta(ge=0, le=10_000_000_000)]
    remarks: Annotated[dict[str, Remark], Meta(max_length=100)] = {}


class CloseTimer(msgspec.Struct, frozen=True):
    """Payload of the timer `close_unpaid`."""

    account_id: str
    trade_id: str


class CloseAgain(msgspec.Struct, frozen=True):
    """Payload of the timer `close_again`: what a quarantined plugin has still to be told."""

    plugin: str
    closing: Closing
