"""The plugin's own events, for plugins that tell people. Payloads are stored as JSON, so fields are only ever added."""

from datetime import datetime
from uuid import UUID

import msgspec

from core.api import Tx, effect


class CouponsGranted(msgspec.Struct, frozen=True):
    """Coupons of one template that an account was given. `origin`: `targeted` or `gift`."""

    account_id: UUID
    merchant_id: UUID
    template_id: UUID
    coupon_ids: tuple[UUID, ...]
    origin: str
    expires_at: datetime


class CouponsExpiring(msgspec.Struct, frozen=True):
    """An account's unused coupons that end soon, the first of them at `expires_at`."""

    account_id: UUID
    coupon_ids: tuple[UUID, ...]
    expires_at: datetime


@effect
async def coupon_granted(tx: Tx, event: CouponsGranted) -> None:
    """An account was given coupons that it did not claim itself. One event for each template."""


@effect
async def coupon_expiring(tx: Tx, event: CouponsExpiring) -> None:
    """Unused coupons of an account end soon. One event for an account, and one reminder for each coupon."""
