"""Templates and coupons as the routes show them, and how long a claimed coupon holds."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec
from msgspec import UNSET

from core.api import decode_cursor, encode_cursor, ref
from plugins.coupons.rules import Terms
from plugins.coupons.schemas import (
    Cost,
    CouponOut,
    CouponTerms,
    Gift,
    ScopeOut,
    Statistics,
    TemplateOut,
    Valid,
)


def page_start(cursor: str | None) -> UUID | None:
    """The id in a cursor. Raises `Invalid`."""
    return decode_cursor(cursor, UUID) if cursor else None


def page_end(rows: Sequence[asyncpg.Record], limit: int) -> str | None:
    """The cursor after `limit` of these rows, None when there are no more."""
    return encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None


def span(row: asyncpg.Record, now: datetime) -> tuple[datetime, datetime] | None:
    """From and to when a coupon of this template is valid that is claimed now; None when it would never be."""
    start = max(now + timedelta(days=row["delay_days"]), row["valid_from"] or now)
    ends = [row["valid_to"]] if row["valid_to"] is not None else []
    if row["valid_days"] is not None:
        ends.append(start + timedelta(days=row["valid_days"]))
    end = min(ends)
    return (start, end) if start < end else None


def not_handed_out(row: asyncpg.Record, now: datetime) -> str | None:
    """Why none of this template can be handed out now to anybody: a code, None when one can."""
    if row["status"] != "open":
        return "not_claimable"
    if row["claim_from"] is not None and row["claim_from"] > now:
        return "not_started"
    if (row["claim_to"] is not None and row["claim_to"] <= now) or span(row, now) is None:
        return "claim_ended"
    return "sold_out" if row["claimed"] >= row["total"] else None


def terms_out(merchant_id: UUID, template_id: UUID, terms: Terms) -> CouponTerms:
    """What a coupon is worth, for the buyer."""
    return CouponTerms(
        id=ref(merchant_id, template_id),
        merchant_id=ref(merchant_id),
        name=terms.name,
        kind=terms.kind,
        amount=terms.amount if terms.kind == "amount" else UNSET,
        rate_bp=terms.rate_bp if terms.kind == "rate" else UNSET,
        cap=terms.cap if terms.cap is not None else UNSET,
        threshold=terms.threshold,
        scope=ScopeOut(terms.scope, terms.ids),
    )


def template_out(row: asyncpg.Record, *, staff: bool = False) -> TemplateOut:
    """A template, for `staff` with its statistics."""
    terms = msgspec.json.decode(row["terms_json"], type=Terms)
    gift = row["gift_json"]
    return TemplateOut(
        **msgspec.structs.asdict(terms_out(row["merchant_id"], row["id"], terms)),
        status=row["status"],
        claim=row["claim"],
        claim_from=row["claim_from"] or UNSET,
        claim_to=row["claim_to"] or UNSET,
        total=row["total"],
        per_account=row["per_account"],
        left=row["total"] - row["claimed"],
        valid=Valid(row["valid_from"], row["valid_to"], row["valid_days"], row["delay_days"]),
        gift=UNSET if gift is None else msgspec.json.decode(gift, type=Gift),
        merchant_share_bp=terms.merchant_share_bp,
        created_at=row["created_at"],
        statistics=_statistics(row) if staff else UNSET,
    )


def _statistics(row: asyncpg.Record) -> Statistics:
    return Statistics(
        issued=row["total"],
        claimed=row["claimed"],
        used=row["used"],
        expired=row["expired"],
        voided=row["voided"],
        orders_brought=row["orders_brought"],
        cost=Cost(row["cost_market"], row["cost_merchant"]),
    )


def status_of(row: asyncpg.Record, now: datetime) -> str:
    """A coupon's state; one past its end is expired even before it was marked so."""
    status: str = row["status"]
    return "expired" if status == "unused" and row["expires_at"] <= now else status


def coupon_out(row: asyncpg.Record, now: datetime) -> CouponOut:
    """A claimed coupon as it stands at `now`."""
    terms = msgspec.json.decode(row["terms_json"], type=Terms)
    return CouponOut(
        id=ref(row["id"]),
        template=terms_out(row["merchant_id"], row["template_id"], terms),
        status=status_of(row, now),
        valid_from=row["valid_from"],
        expires_at=row["expires_at"],
        claimed_at=row["claimed_at"],
        origin=row["origin"],
        used_at=row["used_at"] or UNSET,
        reason=row["void_reason"] or UNSET,
    )
