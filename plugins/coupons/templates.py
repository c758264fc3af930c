"""Issuing coupon templates, listing, changing and stopping them. An issuer is a shop or, with `MARKET_ID`, the market."""

from uuid import UUID

import asyncpg
import msgspec
from msgspec import UNSET

from core.api import (
    MARKET_ID,
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    Page,
    Tx,
    check_limit,
    new_id,
    parse_pair,
    ref,
)
from plugins.coupons import repository
from plugins.coupons.checks import TemplateChecks, window_faults
from plugins.coupons.config import Config
from plugins.coupons.repository import Claiming
from plugins.coupons.rules import Terms
from plugins.coupons.schemas import HandedOut, Holder, TemplateIn, TemplateOut, TemplatePatch
from plugins.coupons.shown import page_end, page_start, status_of, template_out

_ALL_BP = 10_000


async def issue(tx: Tx, merchant_id: UUID, data: TemplateIn) -> TemplateOut:
    """A new template. Raises `Invalid`, and `Forbidden` `not_issuing`."""
    config = tx.config(Config)
    if merchant_id != MARKET_ID and not config.merchants_may_issue:
        raise Forbidden("Shops do not issue coupons in this market.", code="not_issuing")
    checks = TemplateChecks(data, merchant_id, config, tx.now)
    faults = [*checks.faults(), *await checks.unknown(tx)]
    if faults:
        raise Invalid("This template cannot be issued; see errors.", *faults)
    share = _ALL_BP if merchant_id != MARKET_ID else data.merchant_share_bp or 0
    terms = Terms(
        name=data.name,
        kind=data.kind,
        scope=data.scope.kind,
        threshold=data.threshold,
        ids=tuple(dict.fromkeys(data.scope.ids)),
        amount=data.amount or 0,
        rate_bp=data.rate_bp or 0,
        cap=data.cap,
        merchant_share_bp=share,
    )
    claiming = Claiming(data.claim, data.total, data.per_account, data.claim_from, data.claim_to)
    row = await repository.add(tx, (merchant_id, new_id()), terms, claiming, data.valid, data.gift)
    return template_out(row, staff=True)


async def issued(tx: Tx, merchant_id: UUID, cursor: str | None, limit: int) -> Page[TemplateOut]:
    """A merchant's templates with their statistics, newest first."""
    rows = await repository.of_issuer(tx, merchant_id, page_start(cursor), check_limit(limit) + 1)
    return Page([template_out(row, staff=True) for row in rows[:limit]], page_end(rows, limit))


async def one(tx: Tx, merchant_id: UUID, template_id: str) -> TemplateOut:
    """One of the issuer's templates with its statistics. Raises `NotFound`."""
    return template_out(_there(await repository.template(tx, own(merchant_id, template_id))), staff=True)


async def change(tx: Tx, merchant_id: UUID, template_id: str, patch: TemplatePatch) -> TemplateOut:
    """Change what is shown and how many are handed out, never what claimed coupons are worth.

    Raises `NotFound`, `Invalid`, and `Conflict` `template_void`.
    """
    key = own(merchant_id, template_id)
    row = _there(await repository.locked(tx, key))
    if row["status"] == "void":
        raise Conflict("This template is void; nothing of it changes any more.", code="template_void")
    claiming = Claiming(
        row["claim"],
        row["total"] if patch.total is UNSET else patch.total,
        row["per_account"] if patch.per_account is UNSET else patch.per_account,
        row["claim_from"] if patch.claim_from is UNSET else patch.claim_from,
        row["claim_to"] if patch.claim_to is UNSET else patch.claim_to,
    )
    faults = list(window_faults(tx.now, claiming.opens, claiming.ends))
    if not row["total"] <= claiming.total <= max(row["total"], tx.config(Config).max_total):
        faults.append(FieldError("total", "range", f"From {row['total']}: it can only be raised."))
    if faults:
        raise Invalid("The template cannot be changed like this; see errors.", *faults)
    name = msgspec.json.decode(row["terms_json"], type=Terms).name if patch.name is UNSET else patch.name
    return template_out(_there(await repository.change(tx, key, name, claiming)), staff=True)


async def stop(tx: Tx, merchant_id: UUID, template_id: str) -> TemplateOut:
    """Hand out no more; claimed coupons stay valid. Raises `NotFound`, also for another merchant's template."""
    return template_out(
        _there(await repository.stop(tx, own(merchant_id, template_id), "closed")), staff=True
    )


async def void(tx: Tx, merchant_id: UUID, template_id: str, reason: str) -> TemplateOut:
    """Hand out no more and void what was not used yet; what was used stays so. Runs in the system scope: the coupons are
    their buyers'. Raises `NotFound`."""
    key = own(merchant_id, template_id)
    _there(await repository.stop(tx, key, "void"))
    voided = await repository.void_unused(tx, key, reason)
    return template_out(await repository.count_voided(tx, key, voided), staff=True)


async def handed_out(
    tx: Tx, merchant_id: UUID, template_id: str, cursor: str | None, limit: int
) -> Page[HandedOut]:
    """The claimed coupons of one of the issuer's templates, newest first; only the market learns whose they are, and of
    their logins the beginning. Runs in the system scope. Raises `NotFound`."""
    key = own(merchant_id, template_id)
    _there(await repository.template(tx, key))
    rows = await repository.handed_out(tx, key, page_start(cursor), check_limit(limit) + 1)
    page = [
        HandedOut(
            id=ref(row["id"]),
            status=status_of(row, tx.now),
            origin=row["origin"],
            claimed_at=row["claimed_at"],
            valid_from=row["valid_from"],
            expires_at=row["expires_at"],
            used_at=row["used_at"] or UNSET,
            account=_holder(row) if merchant_id == MARKET_ID else UNSET,
        )
        for row in rows[:limit]
    ]
    return Page(page, page_end(rows, limit))


def _holder(row: asyncpg.Record) -> Holder:
    login = row["login"] or ""
    return Holder(ref(row["account_id"]), f"{login[:2]}***")


def own(merchant_id: UUID, template_id: str) -> tuple[UUID, UUID]:
    """The key in a template's opaque id. Raises `NotFound` when it is another issuer's."""
    key = parse_pair(template_id)
    if key[0] != merchant_id:
        raise NotFound("There is no such coupon template.")
    return key


def _there(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise NotFound("There is no such coupon template.")
    return row
