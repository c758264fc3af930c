"""Payments on the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec


class PaymentIn(msgspec.Struct, frozen=True):
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


class SandboxPayIn(msgspec.Struct, frozen=True):
    """`notify: false` acts out a notification that is lost on its way; it is sent again later."""

    notify: bool = True


class SandboxPayOut(msgspec.Struct, frozen=True):
    """The sandbox's buyer has paid; `notified` when our side has acknowledged it."""

    status: str
    notified: bool
