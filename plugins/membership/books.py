"""The books of members: whoever writes points, growth or time of levels opens them, which locks the account, and closes
them with one statement that writes the balances and the entries that explain them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from core.api import MARKET_ID, Conflict, Tx, columns, new_id
from plugins.membership.purse import OrderPoints, Purse
from plugins.membership.terms import Term

# An account that has no row yet gets one; one that has is locked all the same.
_OPEN = """
insert into membership_account as a (account_id, created_at) select x, $2 from unnest($1::uuid[]) x order by x
on conflict (account_id) do update set created_at = a.created_at
returning a.account_id, a.points, a.debt, a.merged_into
"""

_LOCK = """
select account_id, points, debt, merged_into from membership_account where account_id = any($1::uuid[])
order by account_id for no key update
"""

_LOCK_FOR_ORDERS = """
select account_id, points, debt, merged_into from membership_account a where account_id = $1
  and (merged_into is not null or exists (select from membership_order o where o.account_id = $1
    and o.order_id = any($2::uuid[]) and (not $3::boolean or o.bought <> '[]')))
for no key update
"""

_HAS = """
select array(select order_id from membership_order where account_id = $1) as orders,
  array(select merchant_id from membership_member where account_id = $1) as shops
"""

_MERGED = """
with l as (delete from membership_lot where account_id = $1),
m as (delete from membership_member where account_id = $1),
o as (delete from membership_order where account_id = $1),
t as (delete from membership_term where account_id = $1)
update membership_account set merged_into = $2 where account_id = $1
"""

# In a statement of its own: one that waits for a lock would show what was there before.
_READ = """
select a.id as account_id, l.ends, l.points, m.shops, m.growths,
  (select json_object_agg(j.cause, j.amount)::text from membership_journal j
   where j.account_id = any(array(select a.id union all
     select g.account_id from membership_account g where g.merged_into = a.id))
     and j.cause = any($3::text[])) as causes,
  (select json_agg(t)::text from membership_term t where t.account_id = a.id) as terms,
  (select json_agg(o)::text from membership_order o
   where o.account_id = a.id and o.order_id = any($4::uuid[])) as orders
from unnest($1::uuid[]) a(id)
left join lateral (select array_agg(x.expires_at) as ends, array_agg(x.points) as points
  from membership_lot x where x.account_id = a.id and x.points > 0) l on true
left join lateral (select array_agg(x.merchant_id) as shops, array_agg(x.growth) as growths
  from membership_member x where x.account_id = a.id and x.merchant_id = any($2::uuid[])) m on true
"""

_WRITE = """
with a as (
  update membership_account t set points = n.points, debt = n.debt
  from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
    n(account_id, was_points, was_debt, points, debt)
  where t.account_id = n.account_id and t.points = n.was_points and t.debt = n.was_debt returning t.account_id
), l as (
  insert into membership_lot (account_id, expires_at, points)
  select * from unnest($6::uuid[], $7::timestamptz[], $8::bigint[])
  on conflict (account_id, expires_at) do update set points = excluded.points
), m as (
  insert into membership_member (account_id, id, merchant_id, growth, joined_at)
  select n.*, $13 from unnest($9::uuid[], $10::uuid[], $11::uuid[], $12::bigint[]) n
  on conflict (account_id, merchant_id) do update set growth = excluded.growth
), j as (
  insert into membership_journal (account_id, id, merchant_id, unit, amount, kind, cause, reference, note, by,
    expires_at, level_id, at)
  select n.*, $13 from unnest($14::uuid[], $15::uuid[], $16::uuid[], $17::text[], $18::bigint[], $19::text[],
    $20::text[], $21::text[], $22::text[], $23::uuid[], $24::timestamptz[], $25::uuid[]) n
), o as (
  insert into membership_order (account_id, order_id, merchant_id, trade_id, used_points, used_fen, parts, refunds,
    back_points, closed, base_fen, kept_fen, points_per_yuan, growth_per_yuan, points, growth, earned_at, ends_at,
    bought)
  select account_id, order_id, merchant_id, trade_id, used_points, used_fen, parts::jsonb, refunds::jsonb,
    back_points, closed, base_fen, kept_fen, points_per_yuan, growth_per_yuan, points, growth, earned_at, ends_at,
    bought::jsonb
  from unnest($26::uuid[], $27::uuid[], $28::uuid[], $29::uuid[], $30::bigint[], $31::bigint[], $32::text[],
    $33::text[], $34::bigint[], $35::boolean[], $36::bigint[], $37::bigint[], $38::int[], $39::int[],
    $40::bigint[], $41::bigint[], $42::timestamptz[], $43::timestamptz[], $44::text[])
    n(account_id, order_id, merchant_id, trade_id, used_points, used_fen, parts, refunds, back_points, closed,
      base_fen, kept_fen, points_per_yuan, growth_per_yuan, points, growth, earned_at, ends_at, bought)
  on conflict (account_id, order_id) do update set refunds = excluded.refunds, back_points = excluded.back_points,
    closed = excluded.closed, base_fen = excluded.base_fen, kept_fen = excluded.kept_fen,
    points_per_yuan = excluded.points_per_yuan, growth_per_yuan = excluded.growth_per_yuan,
    points = excluded.points, growth = excluded.growth, earned_at = excluded.earned_at,
    ends_at = excluded.ends_at, bought = excluded.bought
), t as (
  insert into membership_term (account_id, merchant_id, level_id, since, months, extra, until)
  select * from unnest($45::uuid[], $46::uuid[], $47::uuid[], $48::timestamptz[], $49::int[], $50::bigint[],
    $51::timestamptz[])
  on conflict (account_id, level_id) do update set since = excluded.since, months = excluded.months,
    extra = excluded.extra, until = excluded.until
)
select count(*) from a
"""


class Entry(NamedTuple):
    """A line of the journal."""

    merchant_id: UUID
    unit: str
    amount: int
    kind: str
    cause: str
    reference: str = ""
    note: str = ""
    by: UUID | None = None
    expires_at: datetime | None = None
    level_id: UUID | None = None


class Book:
    """One account's book, open: change `purse`, `terms` and `orders`, and `note` why. `causes` are those asked for that were
    written before, with their amounts."""

    def __init__(self, account_id: UUID, points: int, debt: int, row: asyncpg.Record) -> None:
        self.account_id = account_id
        self.purse = Purse(points, debt, zip(row["ends"] or (), row["points"] or (), strict=True))
        self.growth: dict[UUID, int] = dict(zip(row["shops"] or (), row["growths"] or (), strict=True))
        self.causes: dict[str, int] = msgspec.json.decode(row["causes"]) if row["causes"] else {}
        found = msgspec.json.decode(row["orders"], type=list[OrderPoints]) if row["orders"] else []
        self.orders = {order.order_id: order for order in found}
        terms = msgspec.json.decode(row["terms"], type=list[Term]) if row["terms"] else []
        self.terms = {term.level_id: term for term in terms}
        self.entries: list[Entry] = []
        self._was = (points, debt)
        self._lots = dict(self.purse.lots)
        self._growth = dict(self.growth)
        self._terms = {key: msgspec.structs.replace(term) for key, term in self.terms.items()}

    def note(self, entry: Entry) -> None:
        """Why points or time changed."""
        self.entries.append(entry)
        self.causes[entry.cause] = entry.amount

    def grow(self, entry: Entry) -> None:
        """Growth comes or goes, and is noted; it ends at 0, and what is not there is not taken."""
        before = self.growth.get(entry.merchant_id, 0)
        after = max(0, before + entry.amount)
        if after != before:
            self.growth[entry.merchant_id] = after
            self.note(entry._replace(amount=after - before))

    def balances(self) -> tuple[UUID, int, int, int, int]:
        """(account, points and debt as they were, as they are)."""
        return self.account_id, *self._was, self.purse.points, self.purse.debt

    def lots(self) -> list[tuple[UUID, datetime, int]]:
        """The lots that changed."""
        lots = self.purse.lots.items()
        return [(self.account_id, ends, points) for ends, points in lots if self._lots.get(ends) != points]

    def members(self) -> list[tuple[UUID, UUID, UUID, int]]:
        """The growth that changed; whoever has a book is a member of the market."""
        wanted = {MARKET_ID: 0, **self.growth}
        changed = [(shop, growth) for shop, growth in wanted.items() if self._growth.get(shop) != growth]
        return [(self.account_id, new_id(), shop, growth) for shop, growth in sorted(changed)]

    def times(self) -> list[tuple[object, ...]]:
        """The times of levels that changed."""
        changed = [term for key, term in self.terms.items() if self._terms.get(key) != term]
        return [(self.account_id, *msgspec.structs.astuple(term), term.until) for term in changed]


async def opened(
    tx: Tx,
    accounts: Sequence[UUID],
    *,
    shops: Iterable[UUID] = (),
    causes: Sequence[str] = (),
    orders: Sequence[UUID] = (),
    make: bool = True,
) -> dict[UUID, Book]:
    """The books of these accounts, locked in the order of their ids; those without one get one, unless not to `make` any.
    `shops` are those whose growth is wanted besides the market's. A guest that was merged has the book of the account it
    became part of. Two statements, three if there are such guests, in the system scope."""
    wanted = sorted(set(accounts))
    rows = await _lock(tx, wanted, make=make)
    into: dict[UUID, UUID] = {row["account_id"]: row["merged_into"] for row in rows if row["merged_into"]}
    if into:
        # Only after the guest's own row is it known, whose book it is: late, but guests are given something but rarely.
        there = {row["account_id"] for row in rows}
        rows = [*rows, *await _lock(tx, sorted({*into.values()} - there), make=make)]
    found = await _read(tx, [row for row in rows if not row["merged_into"]], shops, causes, orders)
    return {asked: found[into.get(asked, asked)] for asked in wanted if into.get(asked, asked) in found}


async def of_orders(
    tx: Tx, account_id: UUID, orders: Sequence[UUID], shops: Iterable[UUID] = (), *, bought: bool = False
) -> Book | None:
    """The account's book if any of these orders is in it, or with `bought` one that brought time of a level; None, after
    one statement, if not. For a merged guest as `opened`."""
    rows = await tx.fetch(_LOCK_FOR_ORDERS, account_id, orders, bought)
    if rows and rows[0]["merged_into"]:
        return await of_orders(tx, rows[0]["merged_into"], orders, shops, bought=bought)
    return (await _read(tx, rows, shops, (), orders))[account_id] if rows else None


async def whole(tx: Tx, guest_id: UUID, account_id: UUID) -> tuple[Book, Book] | None:
    """A guest's book, with all that is in it, and that of the account it becomes part of, which gets one if it has none;
    None if the guest became part of one before. Three statements, in the system scope."""
    rows = await _lock(tx, sorted([guest_id, account_id]), make=True)
    if any(row["merged_into"] for row in rows):
        return None
    has = await tx.fetchrow(_HAS, guest_id)
    assert has is not None
    found = await _read(tx, rows, has["shops"], (), has["orders"])
    return found[guest_id], found[account_id]


async def merged(tx: Tx, guest_id: UUID, account_id: UUID) -> None:
    """Whoever opens the guest's book from now on gets the account's. What was in it is elsewhere by now, but for its
    journal."""
    await tx.execute(_MERGED, guest_id, account_id)


async def _lock(tx: Tx, accounts: Sequence[UUID], *, make: bool) -> list[asyncpg.Record]:
    if not accounts:
        return []
    return await (tx.fetch(_OPEN, accounts, tx.now) if make else tx.fetch(_LOCK, accounts))


async def _read(
    tx: Tx,
    rows: Sequence[asyncpg.Record],
    shops: Iterable[UUID],
    causes: Sequence[str],
    orders: Sequence[UUID],
) -> dict[UUID, Book]:
    locked = {row["account_id"]: row for row in rows}
    found = await tx.fetch(_READ, list(locked), [MARKET_ID, *shops], causes, orders) if locked else []
    return {
        row["account_id"]: Book(
            row["account_id"], locked[row["account_id"]]["points"], locked[row["account_id"]]["debt"], row
        )
        for row in found
    }


async def write(tx: Tx, books: Iterable[Book]) -> None:
    """Write what changed, in one statement. Raises `Conflict` `points_changed` if somebody wrote past the lock."""
    changed = list({book.account_id: book for book in books if book.entries or book.orders}.values())
    if not changed:
        return
    written = await tx.fetchval(
        _WRITE,
        *columns([book.balances() for book in changed], 5),
        *columns([lot for book in changed for lot in book.lots()], 3),
        *columns([member for book in changed for member in book.members()], 4),
        tx.now,
        *columns([(book.account_id, new_id(), *entry) for book in changed for entry in book.entries], 12),
        *columns([_order(book.account_id, order) for book in changed for order in book.orders.values()], 19),
        *columns([time for book in changed for time in book.times()], 7),
    )
    if written != len(changed):
        raise Conflict("Your points changed in the meantime; try again.", code="points_changed")


def _order(account_id: UUID, order: OrderPoints) -> tuple[object, ...]:
    row = msgspec.structs.asdict(order)
    row |= {name: msgspec.json.encode(row[name]).decode() for name in ("parts", "refunds", "bought")}
    return account_id, *row.values()
