"""Activities and groups as the routes show them."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
from msgspec import UNSET

from core.api import format_yuan, ref
from plugins.group_buy.repository import PriceRow, counts, prices
from plugins.group_buy.schemas import ActivityOut, GroupRow, OpenGroup, PriceOut, SeatOut, Shared, ShareOut

# As much of a product's title as a card has room for.
_TITLE = 30


def masked(nickname: str | None) -> str:
    """The first character of a nickname, all that others learn of it."""
    return f"{(nickname or '').strip()[:1]}**"


def phase_of(row: asyncpg.Record, now: datetime) -> str:
    """How an activity or an event stands."""
    if row["stopped_at"] is not None:
        return "stopped"
    if now < row["starts_at"]:
        return "upcoming"
    return "running" if now < row["ends_at"] else "over"


def activity_out(row: asyncpg.Record, now: datetime, *, staff: bool = False) -> ActivityOut:
    """An activity; for `staff` with what was sold."""
    shop = row["merchant_id"]
    return ActivityOut(
        id=ref(row["id"]),
        merchant_id=ref(shop),
        product_id=ref(shop, row["product_id"]),
        name=row["name"],
        phase=phase_of(row, now),
        size=row["size"],
        hours=row["hours"],
        starts_at=row["starts_at"],
        ends_at=row["stopped_at"] or row["ends_at"],
        per_order=row["per_order"],
        per_account=row["per_account"],
        new_only=row["new_only"],
        show_open=row["show_open"],
        market_coupons=row["market_coupons"],
        prices=prices_out(row, staff=staff),
        event_id=ref(row["event_id"]) if row["event_id"] else None,
        merchant_share_bp=row["merchant_share_bp"] if staff else UNSET,
        virtual_fill=row["virtual_fill"] if staff else UNSET,
        groups=counts(row) if staff else UNSET,
    )


def prices_out(row: asyncpg.Record, *, staff: bool = False) -> list[PriceOut]:
    """The prices of an activity's row."""

    def shown(price: PriceRow) -> PriceOut:
        return PriceOut(
            sku_id=ref(row["merchant_id"], price.sku_id),
            price=price.price,
            left=price.quota - price.sold,
            leader_price=price.leader_price,
            quota=price.quota if staff else UNSET,
            sold=price.sold if staff else UNSET,
        )

    return [shown(price) for price in prices(row)]


def open_group(row: asyncpg.Record) -> OpenGroup:
    """A group that can be joined."""
    return OpenGroup(
        id=ref(row["merchant_id"], row["id"]),
        code=row["code"],
        leader=masked(row["nickname"]),
        size=row["size"],
        left=row["size"] - row["taken"],
        expires_at=row["expires_at"],
    )


def product_of(row: asyncpg.Record) -> Shared:
    """The product in a row."""
    return Shared(ref(row["merchant_id"], row["product_id"]), row["title"] or "", row["image_url"])


def share_out(row: asyncpg.Record, listed: Sequence[PriceOut], page: str) -> ShareOut:
    """What a mini-program shares of the group in a row, at the lowest of these prices."""
    lowest = format_yuan(min((price.price for price in listed), default=0)).removesuffix(".00")
    left, name = left_of(row["status"], row), (row["title"] or "")[:_TITLE]
    waiting = f"还差{left}人，" if left else ""
    return ShareOut(
        title=f"{waiting}{lowest}元拼{name}",
        path=f"{page}?code={row['code']}",
        image_url=row["image_url"],
        page=page,
        scene=row["code"],
    )


def seat_out(row: asyncpg.Record) -> SeatOut:
    """A seat of the buyer's own, with its group."""
    shop = row["merchant_id"]
    return SeatOut(
        group_id=ref(shop, row["group_id"]),
        code=row["code"],
        activity_id=ref(row["activity_id"]),
        order_id=ref(shop, row["order_id"]),
        status=row["status"],
        leader=row["leader"],
        units=row["units"],
        price=row["price"],
        group_status=row["group_status"],
        size=row["size"],
        left=left_of(row["group_status"], row),
        expires_at=row["expires_at"],
        created_at=row["created_at"],
    )


def left_of(status: str, row: asyncpg.Record) -> int:
    """The free seats of a group; none once it is over."""
    taken: int = row["size"] - row["taken"]
    return taken if status in ("opening", "running") else 0


def group_row(row: asyncpg.Record) -> GroupRow:
    """A group for the staff."""
    names = ("code", "status", "size", "taken", "paid", "placeholders")
    times = ("created_at", "opened_at", "expires_at", "ended_at")
    return GroupRow(id=ref(row["merchant_id"], row["id"]), **{name: row[name] for name in (*names, *times)})
