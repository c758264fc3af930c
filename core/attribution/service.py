"""Recording visits and answering what brought somebody."""

from uuid import UUID

import msgspec

from core import hookspecs
from core.attribution.schemas import Touches, VisitIn
from core.db.tx import Tx
from core.kit.ids import new_id, parse_pair, parse_ref
from core.kit.text import clean
from core.types.attribution import Source
from core.types.events import VisitEvent

# One statement; what is behind the pseudonym is looked up in it. A direct visit touches nothing.
_RECORD = """
with who as (select pseudonym from account where id = $1), seen as (
  insert into visit (id, pseudonym, kind, reference, page, merchant_id, product_id, at)
  select $2, pseudonym, $3, $4, $5, $6, $7, $8 from who
), touched as (
  insert into touch as t (pseudonym, first, last, first_at, last_at)
  select pseudonym, $9::jsonb, $9::jsonb, $8, $8 from who where $3 <> 'direct'
  on conflict (pseudonym) do update set last = excluded.last, last_at = excluded.last_at where t.last_at <= excluded.last_at
)
select pseudonym from who
"""

_TOUCHES = """
select t.first::text, t.last::text from touch t join account a on a.pseudonym = t.pseudonym where a.id = $1
"""


async def record(tx: Tx, account_id: UUID, data: VisitIn) -> None:
    """Keep a visit and move the account's last touch. In the system scope. Raises `NotFound` for ids that cannot be."""
    merchant_id = parse_ref(data.merchant_id) if data.merchant_id else None
    product_id = None
    if data.product_id:
        merchant_id, product_id = parse_pair(data.product_id)
    source = msgspec.structs.replace(data.source, reference=clean(data.source.reference).strip())
    pseudonym = await tx.fetchval(
        _RECORD,
        account_id,
        new_id(),
        source.kind,
        source.reference,
        clean(data.page).strip(),
        merchant_id,
        product_id,
        tx.now,
        msgspec.json.encode(source).decode(),
    )
    if pseudonym is not None:
        event = VisitEvent(pseudonym, source.kind, source.reference, merchant_id, product_id)
        tx.emit(hookspecs.visit_recorded, event)


async def touches(tx: Tx, account_id: UUID) -> Touches:
    """What first and last brought the account. In the system scope."""
    row = await tx.fetchrow(_TOUCHES, account_id)
    if row is None:
        return Touches()
    first, last = (msgspec.json.decode(row[name], type=Source) for name in ("first", "last"))
    return Touches(first, last)


_MERGE = """
insert into touch as t (pseudonym, first, last, first_at, last_at)
select a.pseudonym, g.first, g.last, g.first_at, g.last_at
from account a, account guest join touch g on g.pseudonym = guest.pseudonym where a.id = $1 and guest.id = $2
on conflict (pseudonym) do update set
  first = case when t.first_at <= excluded.first_at then t.first else excluded.first end,
  first_at = least(t.first_at, excluded.first_at),
  last = case when t.last_at >= excluded.last_at then t.last else excluded.last end,
  last_at = greatest(t.last_at, excluded.last_at)
"""


async def merge(tx: Tx, account_id: UUID, guest_id: UUID) -> None:
    """A guest signed in: what brought the guest brought the account. In the system scope."""
    await tx.execute(_MERGE, account_id, guest_id)
