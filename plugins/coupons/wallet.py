"""What a buyer holds."""

from datetime import timedelta
from uuid import UUID

from core.api import FieldError, Invalid, Page, Tx, check_limit
from plugins.coupons import repository
from plugins.coupons.config import Config
from plugins.coupons.schemas import CouponOut
from plugins.coupons.shown import coupon_out, page_end, page_start

STATUSES = ("unused", "used", "expired", "void")


async def held(
    tx: Tx,
    account_id: UUID,
    status: str | None,
    cursor: str | None,
    limit: int,
    *,
    expiring: bool = False,
) -> Page[CouponOut]:
    """The account's coupons; `status` lists states, separated by commas, `expiring` leaves those that can still be used and
    end soon. Raises `Invalid`."""
    statuses = status.split(",") if status else list(STATUSES)
    if not set(statuses) <= set(STATUSES):
        known = f"Use {', '.join(STATUSES)}, separated by commas."
        raise Invalid("Unknown status.", FieldError("status", "unknown", known))
    until = tx.now + timedelta(days=tx.config(Config).remind_days) if expiring else None
    before = page_start(cursor)
    rows = await repository.of_buyer(tx, account_id, statuses, until, before, check_limit(limit) + 1)
    return Page([coupon_out(row, tx.now) for row in rows[:limit]], page_end(rows, limit))
