"""Who works for a merchant, or for the market (`MARKET_ID`), and in which roles. In the system scope.

Sessions carry their roles, so those of somebody who is removed or changed end at once. Every shop keeps at
least one who may do everything.
"""

from collections.abc import Sequence
from uuid import UUID

from core.db.tx import Tx
from core.identity import permissions, repository
from core.identity.accounts import create_account, normal_login
from core.identity.schemas import StaffInput, StaffView
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import MARKET_ID, ref
from core.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from core.types.scope import Audience


async def add(tx: Tx, merchant_id: UUID, account_id: UUID, roles: Sequence[str]) -> None:
    """Give an account these roles at a merchant, in place of those it had. Raises `Invalid` for an
    unknown role, `Conflict` `last_owner`."""
    _check_roles(merchant_id, roles)
    present = await repository.lock_staff(tx, merchant_id)
    if permissions.FULL.isdisjoint(roles):
        _keep_an_owner(present, account_id)
    await repository.put_staff(tx, merchant_id, account_id, list(dict.fromkeys(roles)))
    if account_id in present:
        await repository.end_staff_sessions(tx, merchant_id, account_id)


async def hire(tx: Tx, merchant_id: UUID, data: StaffInput) -> StaffView:
    """Add somebody by login; with a password, as a new account. Raises `NotFound` for an unknown login,
    `Conflict` `login_taken` or `last_owner`, `Invalid`."""
    _check_roles(merchant_id, data.roles)
    if data.password is not None:
        account_id = await create_account(tx, data.login, data.password, data.nickname or data.login[:40])
    else:
        login = normal_login(data.login)
        found = await repository.credentials(tx, login) if login else None
        if found is None:
            raise NotFound("There is no account with this login; send a password to make one.")
        account_id = found["id"]
    await add(tx, merchant_id, account_id, data.roles)
    row = await repository.one_of_staff(tx, merchant_id, account_id)
    assert row is not None
    return StaffView(ref(account_id), row["login"], row["nickname"], row["roles"], row["created_at"])


async def page(tx: Tx, merchant_id: UUID, limit: int, cursor: str | None) -> Page[StaffView]:
    """Everybody who works there."""
    after = decode_cursor(cursor, UUID) if cursor else None
    rows = await repository.staff_of(tx, merchant_id, after, check_limit(limit) + 1)
    items = [
        StaffView(ref(r["account_id"]), r["login"], r["nickname"], r["roles"], r["created_at"])
        for r in rows[:limit]
    ]
    return Page(items, encode_cursor(rows[limit - 1]["account_id"]) if len(rows) > limit else None)


async def remove(tx: Tx, merchant_id: UUID, account_id: UUID) -> None:
    """Take somebody off the staff, end their sessions there. Raises `NotFound`, `Conflict` `last_owner`."""
    present = await repository.lock_staff(tx, merchant_id)
    if account_id not in present:
        raise NotFound("Nobody of this id works here.")
    _keep_an_owner(present, account_id)
    await repository.remove_staff(tx, merchant_id, account_id)
    await repository.end_staff_sessions(tx, merchant_id, account_id)


def _check_roles(merchant_id: UUID, roles: Sequence[str]) -> None:
    audience = Audience.PLATFORM if merchant_id == MARKET_ID else Audience.MERCHANT
    known = permissions.ROLE_NAMES[audience]
    wrong = [i for i, role in enumerate(roles) if role not in known]
    if wrong or not roles:
        hint = f"Use {', '.join(known)}."
        raise Invalid(
            "These are not roles here.", *(FieldError(f"roles[{i}]", "unknown", hint) for i in wrong)
        )


def _keep_an_owner(present: dict[UUID, list[str]], leaving: UUID) -> None:
    others = (roles for account_id, roles in present.items() if account_id != leaving)
    held = not permissions.FULL.isdisjoint(present.get(leaving, ()))
    if held and all(permissions.FULL.isdisjoint(roles) for roles in others):
        raise Conflict("Somebody must keep the role owner or admin.", code="last_owner")
