"""The audit log: every staff action, one row, never changed."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from core.db.tx import Tx
from core.identity import repository
from core.identity.schemas import ActorView, AuditView
from core.kit.ids import MARKET_ID, new_id, parse_ref, ref
from core.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from core.kit.text import clean
from core.types.scope import Principal

# PostgreSQL's jsonb takes no NUL; an escaped backslash before `u0000` is not one.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


async def record(
    tx: Tx, me: Principal, action: str, target: str, detail: Mapping[str, Any], request_id: str
) -> None:
    """Note what `me` did, under its merchant (the market for platform staff), in the same transaction."""
    body = _NUL.sub(r"\1", msgspec.json.encode(detail).decode())
    shop = me.merchant_id or MARKET_ID
    await repository.add_audit(tx, shop, new_id(), me.account_id, action, clean(target), body, request_id)


async def page(tx: Tx, merchant_id: str | None, limit: int, cursor: str | None) -> Page[AuditView]:
    """Actions of all staff, or of one merchant's, newest first. In the platform scope."""
    before = decode_cursor(cursor, UUID) if cursor else None
    shop = parse_ref(merchant_id) if merchant_id else None
    rows = await repository.audit_page(tx, shop, before, check_limit(limit) + 1)
    items = [
        AuditView(
            id=ref(r["merchant_id"], r["id"]),
            at=r["at"],
            actor=ActorView(id=ref(r["account_id"]), login=r["login"], nickname=r["nickname"]),
            merchant_id=ref(r["merchant_id"]),
            action=r["action"],
            target=r["target"],
            detail=msgspec.json.decode(r["detail"], type=dict[str, Any]),
            request_id=r["request_id"],
        )
        for r in rows[:limit]
    ]
    return Page(items, encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None)
