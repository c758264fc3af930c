"""Promotions as the routes show them, and what they say in a few characters."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from core.api import decode_cursor, encode_cursor, format_yuan, ref
from plugins.promotions.schemas import PromotionOut, Status
from plugins.promotions.terms import ALL_BP, BUNDLE, FREE_SHIPPING, LIMITED, NTH, Terms, Tier

_NUMBERS = "零一二三四五六七八九十"


def page_start(cursor: str | None) -> UUID | None:
    """The id in a cursor. Raises `Invalid`."""
    return decode_cursor(cursor, UUID) if cursor else None


def page_end(rows: Sequence[asyncpg.Record], limit: int) -> str | None:
    """The cursor after `limit` of these rows, None when there are no more."""
    return encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None


def status_of(row: asyncpg.Record, now: datetime) -> Status:
    """How it stands at this moment."""
    status: Status = row["status"]
    if status != "scheduled":
        return status
    if now < row["starts_at"]:
        return "scheduled"
    return "running" if now < row["ends_at"] else "over"


def promotion_out(row: asyncpg.Record, now: datetime) -> PromotionOut:
    """A promotion for its staff."""
    return PromotionOut(
        id=ref(row["merchant_id"], row["id"]),
        merchant_id=ref(row["merchant_id"]),
        status=status_of(row, now),
        terms=msgspec.json.decode(row["terms_json"], type=Terms),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        stopped_at=row["stopped_at"],
        stop_reason=row["stop_reason"],
        campaign_id=ref(row["merchant_id"], row["campaign_id"]) if row["campaign_id"] else None,
        claimed=row["claimed"],
        created_at=row["created_at"],
    )


def text(terms: Terms) -> str:
    """A few characters for a product: 第二件半价, 满100减10, 满3件8折, 买2件赠, 满59包邮."""
    if terms.kind == LIMITED:
        return "限时"
    if terms.kind == NTH:
        return _nth(terms.nth, terms.rate_bp or 0)
    if terms.kind == BUNDLE:
        return f"套装{_yuan(terms.price or 0)}元"
    tier = min(terms.tiers, key=lambda t: t.from_)
    unit = "" if terms.by == "amount" else "件"
    many = f"{'每' if terms.each else ''}满{_yuan(tier.from_) if terms.by == 'amount' else tier.from_}{unit}"
    if terms.kind == FREE_SHIPPING:
        many = many if tier.from_ else ""
        return f"{many}包邮" if tier.cap is None else f"{many}运费减{_yuan(tier.cap)}"
    return many + _benefit(tier)


def _benefit(tier: Tier) -> str:
    if tier.minus is not None:
        return f"减{_yuan(tier.minus)}"
    return _fold(tier.rate_bp) if tier.rate_bp is not None else "赠"


def _nth(nth: int, rate_bp: int) -> str:
    which = _NUMBERS[nth] if nth < len(_NUMBERS) else str(nth)
    if rate_bp == ALL_BP // 2:
        return f"第{which}件半价"
    return f"第{which}件{'0元' if rate_bp == ALL_BP else _fold(rate_bp)}"


def _fold(rate_bp: int) -> str:
    if rate_bp == ALL_BP:
        return "免单"
    return f"{(ALL_BP - rate_bp) / 1000:.3f}".rstrip("0").rstrip(".") + "折"


def _yuan(fen: int) -> str:
    return format_yuan(fen).removesuffix(".00")
