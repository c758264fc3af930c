"""Which plugins an account owns something of. The cart reads it along with its lines, so that a plugin of which the buyer
owns nothing costs a quote no statement."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from core.db.tx import Tx

# Nothing is written when the row says it already.
_HOLD = """
insert into holding as h (account_id, plugin, until) values ($1, $2, $3)
on conflict (account_id, plugin) do update set until = excluded.until
where h.until < coalesce(excluded.until, 'infinity')
"""

_HOLD_ALL = """
insert into holding as h (account_id, plugin, until)
select a, $2, $3 from unnest($1::uuid[]) a order by a
on conflict (account_id, plugin) do update set until = excluded.until
where h.until < coalesce(excluded.until, 'infinity')
"""


async def hold(tx: Tx, account_id: UUID, plugin: str, until: datetime | None) -> None:
    """Note that the account owns something of `plugin` until then (None: for good), so that its quotes ask the plugin.

    Call it in the transaction that gives it, in the account's or the system scope; what is noted longer stays.
    """
    await tx.execute(_HOLD, account_id, plugin, until)


async def hold_all(tx: Tx, accounts: Sequence[UUID], plugin: str, until: datetime | None) -> None:
    """As `hold`, for many different accounts at once, in the system scope."""
    await tx.execute(_HOLD_ALL, accounts, plugin, until)
