"""Coupons of a test market."""

from typing import Any
from uuid import UUID

from core.kit.ids import MARKET_ID, new_id, ref
from core.types import scope as scopes
from core.types.scope import SYSTEM
from plugins.coupons import service
from plugins.coupons.schemas import ScopeIn, TemplateIn, Valid


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
    if isinstance(given.get("scope"), dict):
        given["scope"] = ScopeIn(**given["scope"])
    scope = scopes.PLATFORM if merchant_id == MARKET_ID else scopes.merchant(merchant_id)
    async with runtime.tx(scope) as tx:
        return (await service.issue(tx, merchant_id, TemplateIn(**given))).id


async def claim(runtime: Any, account_id: UUID, template_id: str) -> str:
    """A claimed coupon's id."""
    async with runtime.tx(SYSTEM) as tx:
        return (await service.claim(tx, account_id, template_id)).id


async def held(runtime: Any, account_id: UUID) -> dict[str, str]:
    """Coupon id -> status."""
    async with runtime.tx(scopes.buyer(account_id)) as tx:
        return {c.id: c.status for c in (await service.held(tx, account_id, None, None, 100)).items}


async def statistics(runtime: Any, merchant_id: UUID = MARKET_ID) -> dict[str, tuple[int, int, int, int]]:
    """Template id -> (issued, claimed, used, orders brought)."""
    async with runtime.tx(SYSTEM) as tx:
        page = await service.issued(tx, merchant_id, None, 100)
    found = {}
    for t in page.items:
        s: Any = t.statistics
        found[t.id] = (s.issued, s.claimed, s.used, s.orders_brought)
    return found


def nobody() -> str:
    """An id that names nothing."""
    return ref(new_id())
