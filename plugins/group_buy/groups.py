"""What buyers see of groups: those that can be joined, the one behind a code, and their own.

Seats are their buyers' and the shop's alone, so public pages read in the system scope and show of members no more than the
first character of the nickname.
"""

from datetime import datetime
from uuid import UUID

import asyncpg

from core.api import NotFound, Page, Tx, check_limit, decode_cursor, encode_cursor, parse_pair, parse_ref, ref
from plugins.group_buy import repository
from plugins.group_buy.config import Config
from plugins.group_buy.rules import Offer, Target, joining, refused
from plugins.group_buy.schemas import ActivityOut, GroupOut, Member, OpenGroup, SeatOut
from plugins.group_buy.shown import (
    activity_out,
    left_of,
    masked,
    open_group,
    prices_out,
    product_of,
    seat_out,
    share_out,
)

_OPEN = """
select g.merchant_id, g.id, g.code, g.size, g.taken, g.expires_at, (
  select a.nickname from group_buy_seat s join account a on a.id = s.account_id
  where s.merchant_id = g.merchant_id and s.group_id = g.id and s.leader limit 1) as nickname
from group_buy_group g
where g.merchant_id = $1 and g.activity_id = $2 and g.status = 'running' and g.expires_at > $3 and g.taken < g.size
  and ($4::timestamptz is null or (g.expires_at, g.id) > ($4, $5))
order by g.expires_at, g.id limit $6
"""

_BY_CODE = f"""
select g.id, g.code, g.status, g.size, g.taken, g.placeholders, g.expires_at, g.activity_id, a.merchant_id, a.product_id,
  a.starts_at, a.ends_at, a.per_order, a.per_account, l.title, l.image_url, {repository.PRICES},
  coalesce(mine.busy, false) as busy, coalesce(mine.inside, false) as inside, coalesce(mine.units, 0) as units,
  {repository.bought_before("$2")} as bought_before
from group_buy_group g
join group_buy_activity a on a.merchant_id = g.merchant_id and a.id = g.activity_id
left join listing l on l.merchant_id = a.merchant_id and l.product_id = a.product_id
left join lateral (
  select bool_or(s.live) as busy, bool_or(s.live and s.group_id = g.id) as inside,
    sum(s.units - s.returned) filter (where s.status <> 'closed')::int as units
  from group_buy_seat s where s.account_id = $2 and s.merchant_id = a.merchant_id and s.activity_id = a.id
) mine on true
where g.code = $1
"""  # noqa: S608

_MEMBERS = """
select a.nickname, s.leader from group_buy_seat s left join account a on a.id = s.account_id
where s.merchant_id = $1 and s.group_id = $2 and s.status in ('paid', 'leaving', 'refunded') and not s.left_group
order by s.paid_at, s.id
"""

_MINE = """
select s.merchant_id, s.id, s.group_id, s.activity_id, s.order_id, s.status, s.leader, s.units, s.price, s.created_at,
  g.code, g.status as group_status, g.size, g.taken, g.expires_at
from group_buy_seat s join group_buy_group g on g.merchant_id = s.merchant_id and g.id = s.group_id
where s.account_id = $1 and ($2::uuid is null or s.id < $2) and ($3::uuid is null or s.group_id = $3)
order by s.id desc limit $4
"""


async def of_product(tx: Tx, product_id: str) -> list[ActivityOut]:
    """A product's activities that run or will."""
    return [activity_out(row, tx.now) for row in await repository.of_product(tx, parse_pair(product_id))]


async def activity(tx: Tx, activity_id: str) -> ActivityOut:
    """One activity, for buyers. Raises `NotFound`."""
    row = await repository.one(tx, None, parse_ref(activity_id))
    if row is None:
        raise NotFound("There is no such group-buy.")
    return activity_out(row, tx.now)


async def open_ones(tx: Tx, activity_id: str, cursor: str | None, limit: int) -> Page[OpenGroup]:
    """The groups of an activity that can be joined, the first to end first; none if its shop does not show them. Raises
    `NotFound`."""
    found = await repository.one(tx, None, parse_ref(activity_id))
    if found is None:
        raise NotFound("There is no such group-buy.")
    at, last = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else (None, None)
    size = check_limit(limit)
    if not found["show_open"]:
        return Page([])
    rows = await tx.fetch(_OPEN, found["merchant_id"], found["id"], tx.now, at, last, size + 1)
    end = rows[size - 1] if len(rows) > size else None
    after = encode_cursor((end["expires_at"], end["id"])) if end else None
    return Page([open_group(row) for row in rows[:size]], after)


async def by_code(tx: Tx, code: str, viewer: UUID | None) -> GroupOut:
    """The group behind a code. Raises `NotFound`."""
    row = await tx.fetchrow(_BY_CODE, code, viewer)
    if row is None:
        raise NotFound("There is no such group.")
    members = await tx.fetch(_MEMBERS, row["merchant_id"], row["id"])
    why = _why_not(row, tx.now)
    refusal = refused(why) if why else None
    shop, prices = row["merchant_id"], prices_out(row)
    return GroupOut(
        id=ref(shop, row["id"]),
        code=row["code"],
        activity_id=ref(row["activity_id"]),
        merchant_id=ref(shop),
        status=row["status"],
        size=row["size"],
        left=left_of(row["status"], row),
        placeholders=row["placeholders"],
        expires_at=row["expires_at"],
        product=product_of(row),
        prices=prices,
        share=share_out(row, prices, tx.config(Config).share_page),
        members=[Member(masked(m["nickname"]), m["leader"]) for m in members],
        joinable=not why,
        reason=why or None,
        detail=refusal.detail if refusal else None,
        detail_zh=refusal.zh if refusal else None,
    )


def _why_not(row: asyncpg.Record, now: datetime) -> str:
    """Why the viewer cannot join, a name in `refused`."""
    offer = Offer(
        size=row["size"],
        price=None,
        left=max((price.quota - price.sold for price in repository.prices(row)), default=0),
        taken=row["units"],
        per_order=row["per_order"],
        per_account=row["per_account"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        busy=row["busy"],
        inside=row["inside"],
        welcome=not row["bought_before"],
    )
    why = joining(offer, Target(row["status"], row["taken"], row["expires_at"]), now)
    if not why and offer.per_account is not None and offer.taken >= offer.per_account:
        why = "account_limit"
    return why or ("" if offer.left else "quota_sold_out")


async def mine(tx: Tx, account_id: UUID, cursor: str | None, limit: int) -> Page[SeatOut]:
    """The account's seats, newest first."""
    before = decode_cursor(cursor, UUID) if cursor else None
    rows = await tx.fetch(_MINE, account_id, before, None, check_limit(limit) + 1)
    after = encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
    return Page([seat_out(row) for row in rows[:limit]], after)


async def my_seat(tx: Tx, account_id: UUID, group_id: UUID) -> SeatOut:
    """The account's newest seat in a group, which there is."""
    rows = await tx.fetch(_MINE, account_id, None, group_id, 1)
    return seat_out(rows[0])
