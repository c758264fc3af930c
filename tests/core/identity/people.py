"""Accounts, shops and sessions for the tests of identity."""

from typing import Any
from uuid import UUID

from core.identity import accounts, service, staff, tokens
from core.identity.schemas import SignIn, Tokens
from core.kit.ids import new_id
from core.types.scope import SYSTEM, Audience, Principal

PASSWORD = "correct-horse"


async def make_account(runtime: Any, login: str) -> UUID:
    """An account with `PASSWORD`."""
    async with runtime.tx(SYSTEM) as tx:
        return await accounts.create_account(tx, login, PASSWORD, f"Nick {login}")


async def make_shop(runtime: Any, slug: str) -> UUID:
    """An open merchant without staff."""
    shop = new_id()
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "insert into merchant (id, slug, name, status, created_at) values ($1, $2, $3, 'open', $4)",
            shop,
            slug,
            f"Shop {slug}",
            tx.now,
        )
    return shop


async def employ(runtime: Any, shop: UUID, account: UUID, *roles: str) -> None:
    """Give the account roles at the shop."""
    async with runtime.tx(SYSTEM) as tx:
        await staff.add(tx, shop, account, roles)


async def sign_in(runtime: Any, login: str, audience: Audience = Audience.SHOP, **more: Any) -> Tokens:
    """Sign in with `PASSWORD` unless told otherwise."""
    fields = {"provider": "password", "login": login, "password": PASSWORD, "audience": audience} | more
    return await service.sign_in(runtime.tx, runtime.redis, SignIn(**fields))


async def principal(runtime: Any, login: str, audience: Audience = Audience.SHOP) -> Principal:
    """Whom a fresh session of the login speaks for."""
    given = await sign_in(runtime, login, audience)
    async with runtime.tx(SYSTEM) as tx:
        found = tokens.read(runtime.env.vault, given.access_token, tx.now)
    assert found is not None
    return found
