"""Statements on accounts, sessions, staff and the audit log. All but the audit log's run in the system scope,
so each names the account or merchant it is about.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from core.db.tx import Tx
from core.types.identity import Merging
from core.types.scope import Principal

_ADD_ACCOUNT = """
insert into account (id, login, password_hash, nickname, pseudonym, created_at, guest)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (login) do nothing returning true
"""

_CREDENTIALS = "select id, password_hash, status from account where login = $1 and status <> 'deleted'"

# Shared locks keep the staff rows as they are until a session opened with their roles is written.
_LOCKED_ACCOUNT = """
with s as materialized (select merchant_id, roles from staff where account_id = $1 for share)
select a.nickname, a.status, a.guest, s.merchant_id, s.roles, m.name as merchant_name
from account a left join s on true left join merchant m on m.id = s.merchant_id
where a.id = $1 order by s.merchant_id
"""

_ACCOUNT = """
select a.nickname, a.status, a.guest, s.merchant_id, s.roles, m.name as merchant_name
from account a left join staff s on s.account_id = a.id left join merchant m on m.id = s.merchant_id
where a.id = $1 order by s.merchant_id
"""

_OPEN_SESSION = """
insert into session (id, account_id, audience, merchant_id, roles, refresh_hash, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""

_ROTATE = """
update session set previous_hash = refresh_hash, refresh_hash = $3, expires_at = $5
where id = $1 and refresh_hash = $2 and revoked_at is null and expires_at > $4
returning account_id, audience, merchant_id, roles
"""

_END_REUSED = """
update session set revoked_at = $3 where id = $1 and previous_hash = $2 and revoked_at is null
"""

_END_SESSION = "update session set revoked_at = $2 where id = $1 and revoked_at is null"

# Only guests are ever merged and never into one another, so locking in the order of ids makes no ring.
_LOCK_MERGING = """
with locked as materialized (
  select id, guest, status from account where id in ($1, $2) order by id for no key update
)
select exists (select from locked where id = $1 and guest and status = 'active')
  and exists (select from locked where id = $2 and not guest and status = 'active')
  and exists (select from session
    where id = $3 and account_id = $1 and audience = 'shop' and revoked_at is null and expires_at > $4)
"""

_END_GUEST = """
with ended as (update session set revoked_at = $2 where account_id = $1 and revoked_at is null)
update account set status = 'deleted' where id = $1 and guest
"""

_END_STAFF_SESSIONS = """
update session set revoked_at = $3 where account_id = $2 and merchant_id = $1 and revoked_at is null
"""

_STAFF_OF = """
select s.account_id, s.roles, s.created_at, a.login, a.nickname
from staff s join account a on a.id = s.account_id
where s.merchant_id = $1 and ($2::uuid is null or s.account_id > $2)
order by s.account_id limit $3
"""

_LOCK_STAFF = "select account_id, roles from staff where merchant_id = $1 order by account_id for update"

_PUT_STAFF = """
insert into staff (merchant_id, account_id, roles, created_at) values ($1, $2, $3, $4)
on conflict (merchant_id, account_id) do update set roles = excluded.roles
"""

_ONE_STAFF = """
select s.account_id, s.roles, s.created_at, a.login, a.nickname
from staff s join account a on a.id = s.account_id where s.merchant_id = $1 and s.account_id = $2
"""

_ADD_AUDIT = """
insert into audit (merchant_id, id, account_id, action, target, detail, at, request_id)
values ($1, $2, $3, $4, $5, $6::jsonb, $7, $8)
"""

_AUDIT = """
select t.merchant_id, t.id, t.account_id, t.action, t.target, t.detail::text as detail, t.at, t.request_id,
  a.login, a.nickname
from audit t left join account a on a.id = t.account_id
where ($1::uuid is null or t.merchant_id = $1) and ($2::uuid is null or t.id < $2)
order by t.id desc limit $3
"""


async def add_account(
    tx: Tx,
    account_id: UUID,
    login: str,
    password_hash: str,
    nickname: str,
    pseudonym: UUID,
    *,
    guest: bool = False,
) -> bool:
    """False when the login is taken."""
    added = await tx.fetchval(
        _ADD_ACCOUNT, account_id, login, password_hash, nickname, pseudonym, tx.now, guest
    )
    return added is not None


async def credentials(tx: Tx, login: str) -> asyncpg.Record | None:
    """(id, password_hash, status) of a login."""
    return await tx.fetchrow(_CREDENTIALS, login)


async def account(tx: Tx, account_id: UUID, *, lock: bool = False) -> list[asyncpg.Record]:
    """(nickname, status, guest, merchant_id, roles, merchant_name): a row for each place of work, at least one."""
    return await tx.fetch(_LOCKED_ACCOUNT if lock else _ACCOUNT, account_id)


async def open_session(tx: Tx, me: Principal, refresh_hash: bytes, expires_at: datetime) -> None:
    """A session with the principal's ids, audience and roles."""
    await tx.execute(
        _OPEN_SESSION,
        me.session_id,
        me.account_id,
        me.audience.value,
        me.merchant_id,
        me.roles,
        refresh_hash,
        tx.now,
        expires_at,
    )


async def rotate(
    tx: Tx, session_id: UUID, old: bytes, new: bytes, expires_at: datetime
) -> asyncpg.Record | None:
    """The session, its refresh hash replaced; None when `old` is not the present one or the session ended."""
    return await tx.fetchrow(_ROTATE, session_id, old, new, tx.now, expires_at)


async def end_reused(tx: Tx, session_id: UUID, old: bytes) -> None:
    """End the session if `old` is the hash before the present one: somebody has a copy of the token."""
    await tx.execute(_END_REUSED, session_id, old, tx.now)


async def end_session(tx: Tx, session_id: UUID) -> None:
    """From now on its tokens are refused."""
    await tx.execute(_END_SESSION, session_id, tx.now)


async def lock_merging(tx: Tx, merging: Merging, session_id: UUID) -> bool:
    """Lock both accounts; False when the one is no live guest in this session, or the other no live account."""
    return bool(await tx.fetchval(_LOCK_MERGING, merging.guest_id, merging.account_id, session_id, tx.now))


async def end_guest(tx: Tx, guest_id: UUID) -> None:
    """End a guest's sessions and mark its account as deleted."""
    await tx.execute(_END_GUEST, guest_id, tx.now)


async def end_staff_sessions(tx: Tx, merchant_id: UUID, account_id: UUID) -> None:
    """End what the account has open as staff of the merchant; its other sessions stay."""
    await tx.execute(_END_STAFF_SESSIONS, merchant_id, account_id, tx.now)


async def staff_of(tx: Tx, merchant_id: UUID, after: UUID | None, limit: int) -> list[asyncpg.Record]:
    """Staff of one merchant in the order of accounts."""
    return await tx.fetch(_STAFF_OF, merchant_id, after, limit)


async def one_of_staff(tx: Tx, merchant_id: UUID, account_id: UUID) -> asyncpg.Record | None:
    """One of a merchant's staff."""
    return await tx.fetchrow(_ONE_STAFF, merchant_id, account_id)


async def lock_staff(tx: Tx, merchant_id: UUID) -> dict[UUID, list[str]]:
    """Account -> roles of all of a merchant's staff, locked against changes and new sessions."""
    return {r["account_id"]: r["roles"] for r in await tx.fetch(_LOCK_STAFF, merchant_id)}


async def put_staff(tx: Tx, merchant_id: UUID, account_id: UUID, roles: Sequence[str]) -> None:
    """Add somebody to a merchant's staff, or replace their roles."""
    await tx.execute(_PUT_STAFF, merchant_id, account_id, list(roles), tx.now)


async def remove_staff(tx: Tx, merchant_id: UUID, account_id: UUID) -> None:
    """Take somebody off a merchant's staff."""
    await tx.execute("delete from staff where merchant_id = $1 and account_id = $2", merchant_id, account_id)


async def add_audit(
    tx: Tx, shop: UUID, row_id: UUID, account_id: UUID, action: str, target: str, detail: str, request_id: str
) -> None:
    """One row of the audit log; `detail` is JSON."""
    await tx.execute(_ADD_AUDIT, shop, row_id, account_id, action, target, detail, tx.now, request_id)


async def audit_page(tx: Tx, shop: UUID | None, before: UUID | None, limit: int) -> list[asyncpg.Record]:
    """The audit log, newest first."""
    return await tx.fetch(_AUDIT, shop, before, limit)
