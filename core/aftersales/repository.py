"""Statements of refunds. Amounts in fen. Whoever changes anything has locked the order's row first."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec

from core.aftersales.deductions import Kept
from core.aftersales.rules import Discount, Earned, GivenUp, Line, Order, Plan
from core.aftersales.schemas import Origin, Refund, RefundedLine
from core.db.tx import Tx, columns
from core.fulfilment.release import left_of
from core.kit.ids import new_id
from core.types.orders import Deduction, RefundDraft

# What a hold says that is there because a plugin could not settle a refund.
UNSETTLED = "A refund is not settled"

_LINES = """
select id, kind, sku_id, product_id, parent_id, quantity, unit_price, shipped_quantity, refunded_quantity,
  cancelled_quantity
from order_line where merchant_id = $1 and order_id = $2 order by id
"""

_DISCOUNTS = """
select line_id, plugin, rule, bearer_market, bearer_merchant from order_discount
where merchant_id = $1 and order_id = $2 order by id
"""

_EARNED = """
select id, line_id, owner_id, amount, refunded_amount from order_earning
where merchant_id = $1 and order_id = $2 order by owner_id, id
"""

_ADD = """
with refund_row as (
  insert into refund (merchant_id, id, order_id, trade_id, account_id, number, goods_amount, shipping_amount,
    deducted_amount, deducted_market, amount, market_borne, commission, deductions, draft, whole_order, origin, reason,
    actor_id, created_at, earnings, aftersale_id)
  values ($1, $2, $3, $4, $5, $6, $7::bigint, $8::bigint, $9::bigint, $10::bigint,
    $7::bigint + $8::bigint - $9::bigint, $11::bigint, $12::bigint, $13::jsonb, $14::jsonb, $15, $16, $17, $18, $19,
    $28::bigint, $29)
), want as (
  select * from unnest($20::uuid[], $21::uuid[], $22::int[], $23::int[], $24::int[], $25::bigint[], $26::bigint[],
    $27::bigint[]) w(id, line_id, first_unit, quantity, cancelled, amount, market_borne, merchant_borne)
), lines as (
  insert into refund_line (merchant_id, id, refund_id, order_id, account_id, line_id, first_unit, quantity, amount,
    market_borne, merchant_borne)
  select $1, id, $2, $3, $5, line_id, first_unit, quantity, amount, market_borne, merchant_borne from want
), units as (
  update order_line l set refunded_quantity = l.refunded_quantity + w.quantity,
    cancelled_quantity = l.cancelled_quantity + w.cancelled
  from want w where l.merchant_id = $1 and l.order_id = $3 and l.id = w.line_id
), earners as (
  update order_earning e set refunded_amount = e.refunded_amount + w.amount
  from unnest($30::uuid[], $31::bigint[]) w(id, amount) where e.merchant_id = $1 and e.id = w.id
)
update orders set refunding_amount = refunding_amount + $7::bigint + $8::bigint - $9::bigint,
  refunded_shipping = refunded_shipping + $8::bigint, deducted_market = deducted_market + $10::bigint,
  refunded_market = refunded_market + $11::bigint, refunded_commission = refunded_commission + $12::bigint,
  refunded_earnings = refunded_earnings + $28::bigint
where merchant_id = $1 and id = $3
"""

_DONE = """
with done as (
  update refund set status = 'done', done_at = $3 where merchant_id = $1 and id = $2 and status = 'refunding'
  returning merchant_id, id, order_id, trade_id, account_id, amount, draft, deductions, whole_order
), arrived as (
  update orders o set refunded_amount = o.refunded_amount + d.amount,
    refunding_amount = o.refunding_amount - d.amount
  from done d where o.merchant_id = d.merchant_id and o.id = d.order_id
)
select order_id, trade_id, account_id, amount, draft::text, deductions::text, whole_order from done
"""

_DEDUCTIONS = """
select deductions::text from refund where merchant_id = $1 and order_id = $2 and deductions <> '[]' order by id
"""

_SENDING = """
select order_id, trade_id, status, amount, reason from refund where merchant_id = $1 and id = $2
"""

_UNSETTLED = """
select order_id, trade_id, account_id, amount, draft::text, deductions::text, unsettled from refund
where merchant_id = $1 and id = $2 and status = 'done'
"""

_HOLD = """
insert into order_hold (merchant_id, order_id, plugin, cause, account_id, reason, created_at)
select $1, $2, w.plugin, 'refund', $3, w.reason, $4 from unnest($5::text[], $6::text[]) w(plugin, reason)
on conflict do nothing
"""

# A hold stays while any refund of the order waits for the plugin; the plugin's own holds are not ours to lift.
_LIFT = """
delete from order_hold h where h.merchant_id = $1 and h.order_id = $2 and h.cause = 'refund'
  and not exists (select from refund r where r.merchant_id = $1 and r.order_id = $2 and h.plugin = any(r.unsettled))
"""

_PAGE = """
select r.merchant_id, r.id, r.order_id, r.number, r.status, r.amount, r.goods_amount, r.shipping_amount,
  r.deducted_amount, r.deductions::text, r.reason, r.origin, r.created_at, r.done_at,
  coalesce((select json_agg(json_build_object('line_id', x.line_id, 'quantity', x.quantity, 'amount', x.amount)
      order by x.line_id)
    from refund_line x where x.merchant_id = r.merchant_id and x.refund_id = r.id), '[]')::text as lines
from refund r
where r.merchant_id = $1 and r.order_id = $2 and ($3::uuid is null or r.account_id = $3)
  and ($4::uuid is null or r.id < $4)
order by r.id desc limit $5
"""


class Decision(msgspec.Struct, frozen=True):
    """A refund about to be written: what guards were told, what goes back, and who wanted it."""

    draft: RefundDraft
    plan: Plan
    deductions: tuple[Kept, ...]
    number: str
    origin: Origin
    actor_id: UUID | None
    earnings: tuple[GivenUp, ...] = ()
    aftersale_id: UUID | None = None

    @property
    def given_up(self) -> int:
        """What earners give up."""
        return sum(e.amount for e in self.earnings)

    @property
    def deducted(self) -> int:
        """All that is kept back, less what is given back."""
        return sum(d.amount for d in self.deductions)

    @property
    def deducted_market(self) -> int:
        """What of it is the market's."""
        return sum(d.amount for d in self.deductions if d.bearer == "market")

    @property
    def amount(self) -> int:
        """What the buyer gets."""
        return self.plan.goods + self.plan.shipping - self.deducted


async def order(tx: Tx, row: asyncpg.Record) -> Order:
    """What a refund of this order reckons with, read after its row was locked."""
    key = row["merchant_id"], row["id"]
    lines, discounts = await tx.fetch(_LINES, *key), await tx.fetch(_DISCOUNTS, *key)
    earned = await tx.fetch(_EARNED, *key) if row["earnings"] else []
    by_line: dict[UUID | None, list[Discount]] = {}
    for d in discounts:
        found = Discount(d["plugin"], d["rule"], d["bearer_market"], d["bearer_merchant"])
        by_line.setdefault(d["line_id"], []).append(found)
    return Order(
        row["merchant_id"],
        tuple(_line(line, by_line.get(line["id"], ())) for line in lines),
        row["shipping_amount"],
        sum(d.market for d in by_line.get(None, ())),
        row["refunded_shipping"],
        row["commission"],
        row["refunded_commission"],
        tuple(Earned(*e) for e in earned),
        None if row["released_at"] is not None else _left(row),
    )


def _left(row: asyncpg.Record) -> int:
    """What is frozen of an order for its merchant."""
    earned: int = row["earnings"] - row["refunded_earnings"]
    return left_of(row).frozen - earned


def _line(row: asyncpg.Record, discounts: Sequence[Discount]) -> Line:
    return Line(
        row["id"],
        row["kind"],
        row["sku_id"],
        row["product_id"],
        row["parent_id"],
        row["quantity"],
        row["unit_price"],
        row["shipped_quantity"],
        row["refunded_quantity"],
        row["cancelled_quantity"],
        tuple(discounts),
    )


async def add(tx: Tx, made: Decision) -> None:
    """Write a refund with its lines and claim its units and money, in one statement."""
    draft, plan = made.draft, made.plan
    lines = [
        (
            new_id(),
            line.part.line.id,
            line.part.line.refunded,
            line.part.quantity,
            line.part.cancelled,
            line.amount,
            line.market,
            line.merchant,
        )
        for line in plan.lines
    ]
    await tx.execute(
        _ADD,
        draft.merchant_id,
        draft.id,
        draft.order_id,
        draft.trade_id,
        draft.account_id,
        made.number,
        plan.goods,
        plan.shipping,
        made.deducted,
        made.deducted_market,
        plan.market_borne,
        plan.commission,
        msgspec.json.encode(made.deductions).decode(),
        msgspec.json.encode(draft).decode(),
        plan.whole_order,
        made.origin,
        draft.reason,
        made.actor_id,
        tx.now,
        *columns(lines, 8),
        made.given_up,
        made.aftersale_id,
        *columns([(e.id, e.amount) for e in made.earnings], 2),
    )


async def mark_done(tx: Tx, merchant_id: UUID, refund_id: UUID) -> asyncpg.Record | None:
    """The money has arrived: order_id, trade_id, account_id, amount, draft, deductions, whole_order; None when it had
    before."""
    return await tx.fetchrow(_DONE, merchant_id, refund_id, tx.now)


async def sending(tx: Tx, merchant_id: UUID, refund_id: UUID) -> asyncpg.Record | None:
    """order_id, trade_id, status, amount and reason of a refund."""
    return await tx.fetchrow(_SENDING, merchant_id, refund_id)


async def unsettled(tx: Tx, merchant_id: UUID, refund_id: UUID) -> asyncpg.Record | None:
    """As `mark_done`, of a refund that is done, and the plugins that have not settled it."""
    return await tx.fetchrow(_UNSETTLED, merchant_id, refund_id)


async def set_unsettled(tx: Tx, merchant_id: UUID, refund_id: UUID, plugins: Sequence[str]) -> None:
    """Note which plugins have not settled a refund."""
    await tx.execute(
        "update refund set unsettled = $3 where merchant_id = $1 and id = $2",
        merchant_id,
        refund_id,
        list(plugins),
    )


async def hold(
    tx: Tx, merchant_id: UUID, order_id: UUID, account_id: UUID, reasons: Sequence[tuple[str, str]]
) -> None:
    """Hold the order for (plugin, reason); a hold that a plugin has on it stays as it is."""
    rows = [(plugin, f"{UNSETTLED}: {reason}") for plugin, reason in reasons]
    await tx.execute(_HOLD, merchant_id, order_id, account_id, tx.now, *columns(rows, 2))


async def lift(tx: Tx, merchant_id: UUID, order_id: UUID) -> None:
    """Lift the holds of plugins that no refund of the order waits for any more."""
    await tx.execute(_LIFT, merchant_id, order_id)


async def is_there(tx: Tx, merchant_id: UUID, order_id: UUID, account_id: UUID | None) -> bool:
    """Whether there is such an order: of this buyer, or with None of any."""
    found: bool = await tx.fetchval(
        "select exists (select from orders where merchant_id = $1 and id = $2"
        " and ($3::uuid is null or account_id = $3))",
        merchant_id,
        order_id,
        account_id,
    )
    return found


async def page(
    tx: Tx, merchant_id: UUID, order_id: UUID, account_id: UUID | None, before: UUID | None, limit: int
) -> list[Refund]:
    """Up to `limit` refunds of an order, newest first, from the one before `before`."""
    rows = await tx.fetch(_PAGE, merchant_id, order_id, account_id, before, limit)
    return [_refund(row) for row in rows]


def _refund(row: asyncpg.Record) -> Refund:
    fields = dict(row)
    fields["deductions"] = deductions_of(row)
    fields["lines"] = msgspec.json.decode(row["lines"], type=tuple[RefundedLine, ...])
    return Refund(**fields)


def deductions_of(row: asyncpg.Record) -> tuple[Deduction, ...]:
    """The deductions in a refund's row; what only waits for later refunds is none of it."""
    found = msgspec.json.decode(row["deductions"], type=tuple[Deduction, ...])
    return tuple(deduction for deduction in found if deduction.amount)


async def deductions(tx: Tx, merchant_id: UUID, order_id: UUID) -> list[Kept]:
    """The deductions of all refunds of an order so far."""
    rows = await tx.fetch(_DEDUCTIONS, merchant_id, order_id)
    return [one for row in rows for one in msgspec.json.decode(row["deductions"], type=list[Kept])]


def draft_of(row: asyncpg.Record) -> RefundDraft:
    """The draft in a refund's row."""
    return msgspec.json.decode(row["draft"], type=RefundDraft)
