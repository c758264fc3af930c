"""Coupons that buyers come by themselves: open ones, those for new accounts, and by code."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from msgspec import UNSET
from msgspec.structs import replace

from core.api import (
    MARKET_ID,
    Conflict,
    NotFound,
    Page,
    Tx,
    check_limit,
    hold,
    new_id,
    paid_before,
    parse_pair,
    parse_ref,
    ref,
)
from plugins.coupons import handing, repository
from plugins.coupons.codes import normal
from plugins.coupons.config import Config
from plugins.coupons.schemas import CouponOut, TemplateOut
from plugins.coupons.shown import coupon_out, not_handed_out, page_end, page_start, span, template_out

PLUGIN = "coupons"
CLAIMED = ("open", "new_account")

WHY_NOT = {
    "not_claimable": "This coupon is not handed out at present.",
    "not_started": "This coupon cannot be claimed yet.",
    "claim_ended": "The time for claiming this coupon is over.",
    "sold_out": "All of these coupons are claimed.",
    "claim_limit": "You have got as many of this coupon as everybody can have.",
    "not_new": "This coupon is for new customers who have not bought anything yet.",
}


async def offered(
    tx: Tx,
    account_id: UUID | None,
    merchant_id: str | None,
    product_id: str | None,
    cursor: str | None,
    limit: int,
) -> Page[TemplateOut]:
    """Templates that can be claimed, newest first, with whether the account can: of one shop (or the market), or those
    usable for one product. Raises `NotFound` for a product that is not on sale."""
    before, size = page_start(cursor), check_limit(limit) + 1
    issuers = [parse_ref(merchant_id)] if merchant_id else None
    names = None
    if product_id is not None:
        product = parse_pair(product_id)
        names = await _names(tx, product)
        usable = [product[0], MARKET_ID]
        issuers = usable if issuers is None else [i for i in issuers if i in usable]
    rows = await repository.offered(tx, account_id, issuers, names, before, size)
    page = rows[:limit]
    barred = await _barred(tx, account_id, page)
    return Page([_offer(tx, row, account_id, barred) for row in page], page_end(rows, limit))


async def _names(tx: Tx, product: tuple[UUID, UUID]) -> list[str]:
    listing = await repository.listing(tx, product)
    if listing is None:
        raise NotFound("There is no such product on sale.")
    shop = product[0]
    return [
        ref(*product),
        ref(shop),
        *(ref(category) for category in listing["category_path"]),
        *(ref(shop, category) for category in listing["shop_category_ids"]),
    ]


async def _barred(tx: Tx, account_id: UUID | None, rows: list[asyncpg.Record]) -> set[UUID]:
    """The issuers of these templates for which the account is no new one."""
    issuers = {row["merchant_id"] for row in rows if row["claim"] == "new_account"}
    if account_id is None or not issuers:
        return set()
    seen = await repository.newness(tx, account_id, sorted(issuers))
    if not _young(tx, seen["created_at"]):
        return issuers
    return {
        issuer for issuer in issuers if issuer in seen["paid_at"] or (issuer == MARKET_ID and seen["paid"])
    }


def _young(tx: Tx, created_at: datetime | None) -> bool:
    since = tx.now - timedelta(days=tx.config(Config).new_account_days)
    return created_at is not None and created_at > since


def _offer(tx: Tx, row: asyncpg.Record, account_id: UUID | None, barred: set[UUID]) -> TemplateOut:
    reason = not_handed_out(row, tx.now)
    if reason is None and account_id is not None:
        if row["mine"] >= row["per_account"]:
            reason = "claim_limit"
        elif row["claim"] == "new_account" and row["merchant_id"] in barred:
            reason = "not_new"
    return replace(
        template_out(row),
        mine=UNSET if account_id is None else row["mine"],
        claimable=reason is None,
        reason=reason or UNSET,
    )


async def claim(tx: Tx, account_id: UUID, template_id: str) -> CouponOut:
    """Claim one coupon; exact under concurrency. Runs in the system scope: it writes the issuer's row too.

    Raises `NotFound`, and `Conflict` with one of the codes in `WHY_NOT`.
    """
    key = parse_pair(template_id)
    taken = await handing.take(tx, key, CLAIMED)
    if taken is None:
        raise await _refusal(tx, key, CLAIMED)
    if taken["claim"] == "new_account":
        seen = await repository.newness(tx, account_id, [])
        shop = None if key[0] == MARKET_ID else key[0]
        if not _young(tx, seen["created_at"]) or await paid_before(tx, account_id, shop):
            raise _conflict("not_new")
    return await _give(tx, account_id, taken, None)


async def redeem(tx: Tx, account_id: UUID, code: str) -> CouponOut:
    """The coupon for a code; exact under concurrency. Runs in the system scope.

    Raises `NotFound` `unknown_code`, and `Conflict` `code_used_up`, `code_already_used`, or one of those of `claim`.
    """
    text = normal(code)
    typed = text.isalnum()
    key = await handing.use_code(tx, text) if typed else None
    if key is None:
        if typed and await handing.code_known(tx, text):
            raise Conflict("This code was used as often as it can be.", code="code_used_up")
        raise NotFound("There is no such code; look at it again.", code="unknown_code")
    taken = await handing.take(tx, key, ["code"])
    if taken is None:
        raise await _refusal(tx, key, ["code"])
    cause = f"code:{text}"
    if await handing.caused(tx, account_id, key, cause):
        raise Conflict("You have used this code already.", code="code_already_used")
    return await _give(tx, account_id, taken, cause)


async def _give(tx: Tx, account_id: UUID, taken: asyncpg.Record, cause: str | None) -> CouponOut:
    valid = span(taken, tx.now)
    if valid is None:
        raise _conflict("claim_ended")
    row = await handing.give(tx, account_id, new_id(), taken, valid, cause)
    if row is None:
        raise _conflict("claim_limit")
    await hold(tx, account_id, PLUGIN, valid[1])
    return coupon_out(row, tx.now)


async def _refusal(tx: Tx, key: tuple[UUID, UUID], claims: Sequence[str]) -> NotFound | Conflict:
    row = await repository.template(tx, key)
    if row is None:
        return NotFound("There is no such coupon template.")
    return _conflict(
        "not_claimable" if row["claim"] not in claims else not_handed_out(row, tx.now) or "sold_out"
    )


def _conflict(code: str) -> Conflict:
    return Conflict(WHY_NOT[code], code=code)
