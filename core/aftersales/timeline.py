"""Everything that happened with an order, in the order of time: the order itself, its parcels, refunds and cases."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from core.db.tx import Tx
from core.kit.errors import NotFound
from core.kit.ids import ref
from core.types.scope import Audience

_MOST = 1000

# Of what happened at the same moment, `n` tells what came first.
_TIMELINE = f"""
with o as (
  select * from orders where merchant_id = $1 and id = $2 and ($3::uuid is null or account_id = $3)
)
select t.at, t.source, t.what, t.detail, t.actor, t.amount, t.id from (
  select o.created_at as at, 0 as n, o.id, 'order' as source, 'placed' as what, '' as detail, 'buyer' as actor,
    o.payable as amount, o.id as sort
  from o
  union all select o.paid_at, 1, o.id, 'order', 'paid', '', 'buyer', o.payable, o.id from o where o.paid_at is not null
  union all
  select l.at, array_position(array['accepted', 'held', 'lifted', '', 'shipped', 'completed', 'closed'],
      case l.event when 'moved' then l.new_status else l.event end) + 1, o.id, 'order',
    case l.event when 'moved' then l.new_status else l.event end, l.reason,
    case when l.actor_id is null then 'system' when l.actor_id = o.account_id then 'buyer'
      else coalesce((select r.origin from refund r where r.merchant_id = l.merchant_id and r.order_id = l.order_id
        and r.created_at = l.at limit 1), 'merchant') end,
    null, l.id
  from o join order_log l on l.merchant_id = o.merchant_id and l.order_id = o.id
  where l.event <> 'moved' or l.new_status <> 'paid'
  union all select o.released_at, 10, o.id, 'order', 'released', '', 'system', null, o.id from o
  where o.released_at is not null and $4
  union all
  select e.at, 4, p.id, 'parcel', e.status, concat_ws(' ', e.text, nullif(p.carrier, ''), nullif(p.waybill_no, '')),
    case when e.status in ('transit', 'voided') then 'system'
      when e.status = 'delivered' and p.redeemed_by is null and e.at = o.completed_at then 'buyer' else 'merchant' end,
    null, e.id
  from o join parcel p on p.merchant_id = o.merchant_id and p.order_id = o.id
    join parcel_event e on e.merchant_id = p.merchant_id and e.parcel_id = p.id
  union all
  select r.created_at, 4, r.id, 'refund', 'decided', r.reason, r.origin, r.amount, r.id
  from o join refund r on r.merchant_id = o.merchant_id and r.order_id = o.id
  union all
  select r.done_at, 9, r.id, 'refund', 'done', '', 'system', r.amount, r.id
  from o join refund r on r.merchant_id = o.merchant_id and r.order_id = o.id where r.done_at is not null
  union all
  select g.at, 3, a.id, 'case', g.event, g.note, g.party, null, g.id
  from o join aftersale a on a.merchant_id = o.merchant_id and a.order_id = o.id
    join aftersale_log g on g.merchant_id = a.merchant_id and g.aftersale_id = a.id
) t order by t.at, t.n, t.sort limit {_MOST}
"""  # noqa: S608 - the only thing put in is the number above

_ORDER: Mapping[str, str] = {
    "placed": "买家提交订单",
    "paid": "买家付款成功",
    "held": "订单暂停处理",
    "lifted": "订单恢复处理",
    "accepted": "商家已接单",
    "shipped": "订单已全部发出",
    "completed": "订单已完成",
    "closed": "订单已关闭",
    "released": "货款已解冻结算",
}
_REFUND: Mapping[str, str] = {"decided": "退款处理中", "done": "退款已到账"}
_PARCEL: Mapping[str, str] = {
    "shipped": "包裹已发出",
    "ready": "待核销",
    "transit": "物流更新",
    "changed": "运单已修改",
    "delivered": "包裹已送达",
    "voided": "核销码已作废",
}
_CASE: Mapping[str, str] = {
    "apply": "买家申请售后",
    "agree": "商家同意售后",
    "refuse": "商家拒绝售后",
    "cancel": "买家撤销售后",
    "send": "买家已寄回商品",
    "receive": "商家已收到退货",
    "reship": "商家已寄出换货",
    "convert": "换货改为退货退款",
    "confirm": "买家已收到换货",
    "arbitrate": "买家申请平台介入",
    "decide_refund": "平台裁定退款",
    "decide_reject": "平台裁定不退款",
    "refund": "售后退款处理中",
    "refunded": "售后退款完成",
    "lapse": "售后超时关闭",
    "escalate": "售后转平台处理",
    "reapply": "买家重新申请售后",
    "withdraw": "售后已关闭",
}
_TITLES = {"order": _ORDER, "refund": _REFUND, "parcel": _PARCEL, "case": _CASE}
_OTHER = {"order": "订单更新", "refund": "退款更新", "parcel": "包裹更新", "case": "售后更新"}
# What core writes into an order's log, as people read it.
_REASONS: Mapping[str, str] = {
    "received": "买家确认收货",
    "received by itself": "超过时间，自动确认收货",
    "all codes redeemed": "核销码已全部使用",
    "refunded": "已全部退款",
    "the rest refunded": "其余商品已退款",
    "cancelled by the buyer": "买家取消",
    "accepted": "",
    "all shipped": "",
    "not paid in time": "超时未付款",
}


class TimelineItem(msgspec.Struct, frozen=True):
    """Something that happened. `kind` is what it happened to and what: order_..., parcel_..., refund_..., case_...; `id` is
    the parcel's, refund's or case's, null for the order itself; `title` and `detail` are Chinese; `actor` is buyer,
    merchant, platform or system; `amount` in fen, where money is meant."""

    at: datetime
    kind: str
    title: str
    detail: str
    actor: str
    id: str | None
    amount: int | None


class Timeline(msgspec.Struct, frozen=True):
    """What happened with an order, oldest first; the first thousand things."""

    items: list[TimelineItem]


async def timeline(
    tx: Tx, merchant_id: UUID, order_id: UUID, account_id: UUID | None, audience: Audience
) -> Timeline:
    """What happened with an order, as `audience` may see it, in one statement; with `account_id` only this buyer's own.

    Buyers see neither the release of the money nor what staff and plugins noted. Raises `NotFound`.
    """
    staff = audience is not Audience.SHOP
    rows = await tx.fetch(_TIMELINE, merchant_id, order_id, account_id, staff)
    if not rows:
        raise NotFound("No such order.")
    return Timeline([_item(merchant_id, row, staff=staff) for row in rows])


def _item(merchant_id: UUID, row: asyncpg.Record, *, staff: bool) -> TimelineItem:
    source, what = row["source"], row["what"]
    return TimelineItem(
        at=row["at"],
        kind=f"{source}_{what}",
        title=_TITLES[source].get(what, _OTHER[source]),
        detail=_detail(source, row["detail"], staff=staff),
        actor=row["actor"],
        id=None if source == "order" else ref(merchant_id, row["id"]),
        amount=row["amount"],
    )


def _detail(source: str, text: str, *, staff: bool) -> str:
    if source == "order":
        # Whatever else stands there was written for staff: a plugin's name, a fault.
        return _REASONS.get(text, text if staff else "")
    return _REASONS.get(text, text)
