"""Statements of the calendar."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import asyncpg

from core.db.tx import Tx
from core.types.activities import Activity, ActivityDraft

_ADD = """
insert into activity (merchant_id, id, plugin, kind, name, campaign_id, exclusive, starts_at, ends_at, created_at,
  created_by)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""

# In the order of SKUs: two activities that want the same ones wait for each other in one order only. The product of a SKU
# comes from the public copy, which holds every SKU that was ever offered.
_ADD_SKUS = """
insert into activity_sku (merchant_id, activity_id, sku_id, product_id, owner_id, plugin, name, exclusive, mark, during)
select w.merchant_id, $1, w.sku_id, l.product_id, $2, $3, $4, $5, numrange(w.mark, w.mark, '[]'), tstzrange($6, $7)
from unnest($8::uuid[], $9::uuid[], $10::numeric[]) w(merchant_id, sku_id, mark)
join listing_sku l on l.merchant_id = w.merchant_id and l.sku_id = w.sku_id
order by w.sku_id
returning sku_id
"""

_RIVALS = """
select distinct on (s.sku_id) s.merchant_id, s.sku_id, s.plugin, s.name, lower(s.during) as starts_at,
  upper(s.during) as ends_at
from activity_sku s
where s.sku_id = any($1::uuid[]) and s.exclusive and s.during && tstzrange($2, $3) and s.activity_id <> $4
order by s.sku_id, lower(s.during)
"""

_COLUMNS = """a.id, a.merchant_id, a.plugin, a.kind, a.name, a.starts_at, a.ends_at, a.exclusive, a.status, a.stopped_at,
  a.campaign_id, c.name as campaign, (select count(*) from activity_sku s where s.activity_id = a.id)::int as skus"""

_PAGE = f"""
select {_COLUMNS} from activity a
left join campaign c on c.merchant_id = a.merchant_id and c.id = a.campaign_id
where ($1::uuid is null or a.merchant_id = $1) and ($2::uuid is null or a.id = $2)
  and ($3::timestamptz is null or coalesce(a.stopped_at, a.ends_at) > $3)
  and ($4::timestamptz is null or a.starts_at < $4)
  and ($5::text is null or a.plugin = $5) and ($6::uuid is null or a.campaign_id = $6)
  and ($7::timestamptz is null or (a.starts_at, a.id) > ($7, $8))
order by a.starts_at, a.id limit $9
"""  # noqa: S608

_MOVE = """
update activity set starts_at = $3, ends_at = $4, name = coalesce($5, name)
where merchant_id = $1 and id = $2 and status = 'scheduled' returning id
"""
_MOVE_SKUS = """
update activity_sku set during = tstzrange($2, $3), name = coalesce($4, name) where activity_id = $1
"""

_STOP = """
update activity set status = 'stopped', stopped_at = $3
where merchant_id = $1 and id = $2 and status = 'scheduled' and ends_at > $3 returning starts_at
"""
# One that never began has an empty time, which overlaps nothing.
_STOP_SKUS = """
update activity_sku set during = case when lower(during) < $2 then tstzrange(lower(during), $2) else 'empty' end
where activity_id = $1
"""

# A line is counted once, however many discounts of the activity it has. Refunds count as they were reckoned where nothing
# else discounted the line at that bearer's cost; else in proportion to all units that went back, which may be a fen less, so
# that the last one leaves nothing. Those of freight in proportion to the freight that went back; all of it if the order
# closed.
_REPORT = """
with cut as (
  select d.merchant_id, d.order_id, d.line_id, sum(d.bearer_market)::bigint as market,
    sum(d.bearer_merchant)::bigint as merchant
  from order_discount d where d.activity_id = $1 and ($2::uuid is null or d.merchant_id = $2)
  group by d.merchant_id, d.order_id, d.line_id
), kept as (
  select c.*, o.account_id, l.quantity, l.payable, l.refunded_quantity,
    coalesce(r.amount, 0) as refunded, coalesce(r.market, f.market, 0) as back_market,
    coalesce(r.merchant, f.merchant, 0) as back_merchant
  from cut c join orders o on o.merchant_id = c.merchant_id and o.id = c.order_id and o.paid_at is not null
  left join order_line l on l.merchant_id = c.merchant_id and l.id = c.line_id
  left join lateral (
    select sum(d.bearer_market)::bigint as market, sum(d.bearer_merchant)::bigint as merchant from order_discount d
    where l.refunded_quantity > 0 and d.merchant_id = c.merchant_id and d.order_id = c.order_id and d.line_id = c.line_id
  ) a on true
  left join lateral (
    select sum(x.amount)::bigint as amount,
      case when c.market = a.market then sum(x.market_borne) else c.market * sum(x.quantity) / l.quantity end::bigint
        as market,
      case when c.merchant = a.merchant then sum(x.merchant_borne) else c.merchant * sum(x.quantity) / l.quantity end::bigint
        as merchant
    from refund_line x where x.merchant_id = c.merchant_id and x.line_id = c.line_id
  ) r on true
  left join lateral (
    select case when o.status = 'closed' then c.market else c.market * o.refunded_shipping / nullif(o.shipping_amount, 0) end
        as market,
      case when o.status = 'closed' then c.merchant else c.merchant * o.refunded_shipping / nullif(o.shipping_amount, 0) end
        as merchant
  ) f on c.line_id is null
)
select count(distinct (merchant_id, order_id))::int as orders, count(distinct account_id)::int as buyers,
  coalesce(sum(quantity - refunded_quantity), 0)::int as units, coalesce(sum(payable), 0)::bigint as goods_amount,
  coalesce(sum(refunded), 0)::bigint as refunded_amount,
  coalesce(sum(market - back_market), 0)::bigint as market_borne,
  coalesce(sum(merchant - back_merchant), 0)::bigint as merchant_borne
from kept
"""

_CAMPAIGN = """
insert into campaign (merchant_id, id, name, starts_at, ends_at, created_at, created_by) values ($1, $2, $3, $4, $5, $6, $7)
"""
_CAMPAIGN_CHANGED = """
update campaign set name = coalesce($3, name), starts_at = coalesce($4, starts_at), ends_at = coalesce($5, ends_at)
where merchant_id = $1 and id = $2 returning *
"""
_CAMPAIGN_DROPPED = """
delete from campaign c where c.merchant_id = $1 and c.id = $2
  and not exists (select from activity a where a.merchant_id = $1 and a.campaign_id = $2) returning id
"""
_CAMPAIGNS = """
select c.*, (select count(*) from activity a where a.merchant_id = c.merchant_id and a.campaign_id = c.id)::int as activities
from campaign c
where ($1::uuid is null or c.merchant_id = $1) and ($2::uuid is null or c.id = $2) and ($3::uuid is null or c.id < $3)
order by c.id desc limit $4
"""


async def add(tx: Tx, activity_id: UUID, draft: ActivityDraft) -> None:
    """The activity's row."""
    await tx.execute(
        _ADD,
        draft.merchant_id,
        activity_id,
        draft.plugin,
        draft.kind,
        draft.name,
        draft.campaign_id,
        draft.exclusive,
        draft.starts_at,
        draft.ends_at,
        tx.now,
        draft.created_by,
    )


async def add_skus(
    tx: Tx,
    activity_id: UUID,
    of: ActivityDraft | Activity,
    skus: Sequence[tuple[UUID, UUID]],
) -> set[UUID]:
    """Rows of the SKUs (merchant id, SKU id); the answer is which of them there are. Raises asyncpg's
    ExclusionViolationError when one is in another exclusive activity at that time."""
    rows = await tx.fetch(
        _ADD_SKUS,
        activity_id,
        of.merchant_id,
        of.plugin,
        of.name,
        of.exclusive,
        of.starts_at,
        of.ends_at,
        [merchant_id for merchant_id, _ in skus],
        [sku_id for _, sku_id in skus],
        [Decimal(sku_id.int) for _, sku_id in skus],
    )
    return {row["sku_id"] for row in rows}


async def rivals(
    tx: Tx, skus: Sequence[UUID], period: tuple[datetime, datetime], activity_id: UUID
) -> list[asyncpg.Record]:
    """For each of these SKUs that is taken in the period: merchant_id, sku_id, and plugin, name, starts_at, ends_at of the
    first exclusive activity that has it."""
    return await tx.fetch(_RIVALS, list(skus), *period, activity_id)


async def page(
    tx: Tx,
    *,
    merchant_id: UUID | None = None,
    activity_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    plugin: str | None = None,
    campaign_id: UUID | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int = 1,
) -> list[asyncpg.Record]:
    """Activities by their start; `since` and `until` keep those that touch that time."""
    at, last = after or (None, None)
    return await tx.fetch(_PAGE, merchant_id, activity_id, since, until, plugin, campaign_id, at, last, limit)


async def concerns(tx: Tx, merchant_id: UUID, activity_id: UUID) -> bool:
    """Whether the activity is the merchant's own, or one of the market's in which its SKUs take part."""
    found: bool = await tx.fetchval(
        "select exists (select from activity where merchant_id = $1 and id = $2)"
        " or exists (select from activity_sku where merchant_id = $1 and activity_id = $2)",
        merchant_id,
        activity_id,
    )
    return found


async def skus(tx: Tx, activity_id: UUID) -> list[asyncpg.Record]:
    """(merchant_id, sku_id) of an activity."""
    return await tx.fetch(
        "select merchant_id, sku_id from activity_sku where activity_id = $1 order by sku_id", activity_id
    )


async def drop_skus(tx: Tx, activity_id: UUID, skus: Sequence[UUID]) -> None:
    """Take SKUs out of an activity."""
    await tx.execute(
        "delete from activity_sku where activity_id = $1 and sku_id = any($2::uuid[])",
        activity_id,
        list(skus),
    )


async def move(
    tx: Tx, merchant_id: UUID, activity_id: UUID, period: tuple[datetime, datetime], name: str | None
) -> bool:
    """Another time, and perhaps name; False when there is no such activity that is not stopped. Raises
    ExclusionViolationError as `add_skus`."""
    if await tx.fetchval(_MOVE, merchant_id, activity_id, *period, name) is None:
        return False
    await tx.execute(_MOVE_SKUS, activity_id, *period, name)
    return True


async def stop(tx: Tx, merchant_id: UUID, activity_id: UUID) -> bool:
    """End it now; False when it is over, stopped or not there."""
    if await tx.fetchval(_STOP, merchant_id, activity_id, tx.now) is None:
        return False
    await tx.execute(_STOP_SKUS, activity_id, tx.now)
    return True


async def report(tx: Tx, activity_id: UUID, merchant_id: UUID | None) -> asyncpg.Record:
    """Sums of what the activity brought, for one merchant or all."""
    row = await tx.fetchrow(_REPORT, activity_id, merchant_id)
    assert row is not None, "sums without groups give one row"
    return row


async def add_campaign(
    tx: Tx,
    merchant_id: UUID,
    campaign_id: UUID,
    name: str,
    period: tuple[datetime, datetime],
    by: UUID | None,
) -> None:
    """A campaign's row."""
    await tx.execute(_CAMPAIGN, merchant_id, campaign_id, name, *period, tx.now, by)


async def change_campaign(
    tx: Tx,
    merchant_id: UUID,
    campaign_id: UUID,
    name: str | None,
    starts_at: datetime | None,
    ends_at: datetime | None,
) -> asyncpg.Record | None:
    """The changed row, None when there is none. Raises asyncpg's CheckViolationError when it ends before it starts."""
    return await tx.fetchrow(_CAMPAIGN_CHANGED, merchant_id, campaign_id, name, starts_at, ends_at)


async def drop_campaign(tx: Tx, merchant_id: UUID, campaign_id: UUID) -> bool:
    """Delete one without activities; False when it has some or is not there."""
    return await tx.fetchval(_CAMPAIGN_DROPPED, merchant_id, campaign_id) is not None


async def campaigns(
    tx: Tx,
    merchant_id: UUID | None,
    campaign_id: UUID | None = None,
    before: UUID | None = None,
    limit: int = 1,
) -> list[asyncpg.Record]:
    """Campaigns, newest first, with how many activities each has."""
    return await tx.fetch(_CAMPAIGNS, merchant_id, campaign_id, before, limit)
