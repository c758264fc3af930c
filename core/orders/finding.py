"""Which orders a list shows: the statement that finds their ids, newest first, by short walks along indexes.

An order's id is made when it is placed, so walking by id is walking by time, and a period is a range of ids. Several
statuses are one walk for each, merged. What is rare (a hold, an open case, a phone) is walked instead of the orders.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from core.kit.ids import first_id

ORDER_STATUSES = ("unpaid", "paid", "accepted", "shipped", "completed", "closed")
_GOING_ON = frozenset({"unpaid", "paid", "accepted", "shipped"})

# By how much the clock of the process that makes an id may be off the time that is written with the order.
_SKEW = timedelta(hours=1)


class OrderFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders to list; None means any. `phone_index` goes with a `number` as an alternative: either fits.

    `placed_from` and `placed_to` (not included) bound the time of placing. `sku_ids` are SKUs of the merchant, of which one
    is in the order. `held`, `in_case`: only orders with a hold, with an open after-sales case. `before` is the id at which
    the previous page ended, `words` stand in the title of one line, all of them.
    """

    account_id: UUID | None = None
    merchant_id: UUID | None = None
    order_id: UUID | None = None
    statuses: Sequence[str] | None = None
    number: str | None = None
    phone_index: bytes | None = None
    placed_from: datetime | None = None
    placed_to: datetime | None = None
    sku_ids: Sequence[UUID] | None = None
    held: bool = False
    in_case: bool = False
    words: Sequence[str] = ()
    before: UUID | None = None


class Where:
    """Conditions with their parameters, numbered as they come."""

    def __init__(self) -> None:
        self.args: list[object] = []
        self.conditions: list[str] = []

    def add(self, condition: str, *values: object) -> None:
        """`condition` with `{}` for each value; left out when a value is None."""
        if any(value is None for value in values):
            return
        places = [f"${len(self.args) + n}" for n in range(1, len(values) + 1)]
        self.args += values
        self.conditions.append(condition.format(*places))

    def sql(self) -> str:
        """All conditions."""
        return " and ".join(self.conditions) or "true"


class Walk(NamedTuple):
    """Rows that are walked: their `source`, the table whose index that goes along, its column with the order's id, and the
    condition that keeps one row for each order."""

    source: str
    table: str
    column: str
    one: str


# `offset 0` keeps the planner on the walk: an order is looked up for each row of it, and no further than the page needs.
_ORDER_OF = (
    "{0} cross join lateral (select * from orders x where x.merchant_id = {1}.merchant_id and x.id = {1}.order_id"
    " offset 0) o"
)
# A test with `is not true` is made row by row; the planner would turn a bare `not exists` into a join of whole tables.
_HELD = Walk(
    _ORDER_OF.format("order_hold h", "h"),
    "h",
    "order_id",
    one="(exists (select from order_hold p where p.merchant_id = h.merchant_id and p.order_id = h.order_id"
    " and (p.plugin, p.cause) < (h.plugin, h.cause))) is not true",
)
_IN_CASE = Walk(
    _ORDER_OF.format("aftersale c", "c"),
    "c",
    "order_id",
    one="c.closed_at is null and (exists (select from aftersale p where p.merchant_id = c.merchant_id"
    " and p.order_id = c.order_id and p.closed_at is null and p.id < c.id)) is not true",
)
_BY_SKU = Walk(
    _ORDER_OF.format("order_line l", "l"),
    "l",
    "order_id",
    one="(exists (select from order_line p where p.merchant_id = l.merchant_id and p.order_id = l.order_id"
    " and p.sku_id = any({skus}) and p.id < l.id)) is not true",
)
_PLAIN = Walk("orders o", "o", "id", "true")


def ids(which: OrderFilter, limit: int) -> tuple[str, list[object]]:
    """SQL of (merchant_id, id) of up to `limit` orders, newest first, and its parameters; `words` are not looked at."""
    where = Where()
    walk = _looked_up(where, which) if which.number is not None else _walk(which)
    column = f"{walk.table}.{walk.column}"
    where.add(f"{walk.table}.merchant_id = {{}}", which.merchant_id)
    where.add(f"{column} < {{}}", which.before)
    where.add("o.id = {}", which.order_id)
    where.add("o.account_id = {}", which.account_id)
    _placed(where, which, column)
    _only(where, which, walk)
    order = f"order by {column} desc limit {int(limit)}"
    branches = [
        f"select o.merchant_id, o.id from {walk.source} where {where.sql()} and {branch} {order}"  # noqa: S608
        for branch in _branches(where, which, walk)
    ]
    if len(branches) == 1:
        return branches[0], where.args
    merged = " union all ".join(f"({branch})" for branch in branches)
    return f"select * from ({merged}) u order by id desc limit {int(limit)}", where.args  # noqa: S608


def _walk(which: OrderFilter) -> Walk:
    if which.held:
        return _HELD
    if which.in_case:
        return _IN_CASE
    if which.sku_ids is not None and not _few(which.statuses):
        return _BY_SKU
    return _PLAIN


def _looked_up(where: Where, which: OrderFilter) -> Walk:
    """By number or phone, each by its own index; `or` would have to read every order of the shop."""
    found = ["select n.merchant_id, n.id as order_id from orders n where n.number = {}"]
    values: list[object] = [which.number]
    if which.phone_index is not None:
        found.append("select f.merchant_id, f.id from orders f where f.phone_index = {}")
        values.append(which.phone_index)
        if which.merchant_id is not None:
            found[-1] += " and f.merchant_id = {}"
            values.append(which.merchant_id)
    places = [f"${len(where.args) + n}" for n in range(1, len(values) + 1)]
    where.args += values
    return Walk(
        _ORDER_OF.format(f"({' union '.join(found).format(*places)}) n", "n"), "n", "order_id", "true"
    )


def _few(statuses: Sequence[str] | None) -> bool:
    """Whether orders in these statuses are few, because they all go on to another before long."""
    return statuses is not None and _GOING_ON.issuperset(statuses)


def _placed(where: Where, which: OrderFilter, column: str) -> None:
    """The range of ids finds where to walk, the time itself decides; wrapped, so that the planner does not take both for
    independent and expects next to nothing."""
    if which.placed_from is not None:
        where.add(f"{column} >= {{}}", first_id(which.placed_from - _SKEW))
    if which.placed_to is not None:
        where.add(f"{column} < {{}}", first_id(which.placed_to + _SKEW))
    if which.placed_from is not None or which.placed_to is not None:
        where.args += [which.placed_from, which.placed_to]
        first, last = len(where.args) - 1, len(where.args)
        where.conditions.append(
            f"coalesce(o.created_at >= coalesce(${first}::timestamptz, '-infinity')"
            f" and o.created_at < coalesce(${last}::timestamptz, 'infinity'), false)"
        )


def _only(where: Where, which: OrderFilter, walk: Walk) -> None:
    """What is asked for besides that of which the rows are walked."""
    if which.held and walk is not _HELD:
        where.conditions.append(
            "(exists (select from order_hold x where x.merchant_id = o.merchant_id and x.order_id = o.id)) is true"
        )
    if which.in_case and walk is not _IN_CASE:
        where.conditions.append(
            "(exists (select from aftersale x where x.merchant_id = o.merchant_id and x.order_id = o.id"
            " and x.closed_at is null)) is true"
        )
    if which.sku_ids is not None and walk is not _BY_SKU:
        where.add(
            "(exists (select from order_line x where x.merchant_id = o.merchant_id and x.order_id = o.id"
            " and x.sku_id = any({}::uuid[]))) is true",
            list(which.sku_ids),
        )


def _branches(where: Where, which: OrderFilter, walk: Walk) -> list[str]:
    """The condition of each walk that is to be merged with the others."""
    statuses = which.statuses
    if walk is _PLAIN and which.order_id is None:
        # The indexes of a buyer's and a shop's orders have the status first; without it, the planner would at times rather
        # sort all that the shop has.
        owned = which.account_id is not None or which.merchant_id is not None
        merged = statuses if statuses is not None else ORDER_STATUSES if owned else None
        if merged is not None:
            return [f"o.status = '{status}'" for status in dict.fromkeys(merged) if status in ORDER_STATUSES]
    where.add("o.status = any({}::text[])", None if statuses is None else list(statuses))
    if walk is not _BY_SKU:
        return [walk.one]
    if not which.sku_ids:
        return ["false"]
    where.args.append(list(which.sku_ids))
    one = walk.one.format(skus=f"${len(where.args)}::uuid[]")
    branches = []
    for sku_id in which.sku_ids:
        where.args.append(sku_id)
        branches.append(f"l.sku_id = ${len(where.args)} and {one}")
    return branches
