"""Coupons of a test market."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from core.kit.errors import JishiError
from core.kit.ids import MARKET_ID, new_id, parse_pair, ref
from core.types import scope as scopes
from core.types.scope import SYSTEM
from plugins.coupons import claiming, templates, wallet
from plugins.coupons.schemas import GiftIn, ScopeIn, Statistics, TemplateIn, Valid


async def issue(runtime: Any, merchant_id: UUID = MARKET_ID, **more: Any) -> str:
    """A template's id; by default 5 yuan off, for everybody, for a week."""
    given: dict[str, Any] = {
        "name": "满减券",
        "kind": "amount",
        "amount": 500,
        "total": 100,
        "valid": Valid(days=7),
    }
    given |= more
    for field, kind in (("scope", ScopeIn), ("gift", GiftIn), ("valid", Valid)):
        if isinstance(given.get(field), dict):
            given[field] = msgspec.convert(given[field], kind)
    scope = scopes.PLATFORM if merchant_id == MARKET_ID else scopes.merchant(merchant_id)
    async with runtime.tx(scope) as tx:
        return (await templates.issue(tx, merchant_id, TemplateIn(**given))).id


async def claim(runtime: Any, account_id: UUID, template_id: str) -> str:
    """A claimed coupon's id."""
    async with runtime.tx(SYSTEM) as tx:
        return (await claiming.claim(tx, account_id, template_id)).id


async def held(runtime: Any, account_id: UUID) -> dict[str, str]:
    """Coupon id -> status."""
    async with runtime.tx(scopes.buyer(account_id)) as tx:
        return {c.id: c.status for c in (await wallet.held(tx, account_id, None, None, 100)).items}


async def statistics(runtime: Any, merchant_id: UUID = MARKET_ID) -> dict[str, tuple[int, int, int, int]]:
    """Template id -> (issued, claimed, used, orders brought)."""
    async with runtime.tx(SYSTEM) as tx:
        page = await templates.issued(tx, merchant_id, None, 100)
    found = {}
    for t in page.items:
        s: Any = t.statistics
        found[t.id] = (s.issued, s.claimed, s.used, s.orders_brought)
    return found


async def outcome(step: Awaitable[Any]) -> str:
    """The code of the refusal, `ok` without one."""
    try:
        await step
    except JishiError as error:
        return error.code
    return "ok"


async def account(runtime: Any, *, days: int = 0, login: str | None = None, guest: bool = False) -> UUID:
    """An account that registered so many days ago."""
    account_id = new_id()
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "insert into account (id, login, password_hash, nickname, pseudonym, created_at, guest)"
            " values ($1, $2, '', 'test', $1, $3, $4)",
            account_id,
            login or str(account_id),
            tx.now - timedelta(days=days),
            guest,
        )
    return account_id


async def numbers(runtime: Any, template_id: str) -> Statistics:
    """A template's statistics."""
    key = parse_pair(template_id)
    async with runtime.tx(SYSTEM) as tx:
        found = (await templates.one(tx, key[0], template_id)).statistics
    assert isinstance(found, Statistics)
    return found


def nobody() -> str:
    """An id that names nothing."""
    return ref(new_id())
