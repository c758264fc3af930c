"""Issuing, claiming and using coupons."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec
from msgspec import UNSET

from core.api import (
    MARKET_ID,
    Basket,
    Closing,
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    OrderEvent,
    Page,
    Placement,
    PriceRule,
    Tx,
    check_limit,
    decode_cursor,
    encode_cursor,
    new_id,
    parse_pair,
    parse_ref,
    ref,
)
from plugins.coupons import repository
from plugins.coupons.config import Config
from plugins.coupons.rules import MARKET, SHOP, CouponRule, Terms, UnknownCoupon
from plugins.coupons.schemas import (
    Choice,
    CouponOut,
    CouponTerms,
    ScopeOut,
    Statistics,
    TemplateIn,
    TemplateOut,
    Valid,
)

PLUGIN = "coupons"
STATUSES = ("unused", "used", "expired")


async def issue(tx: Tx, merchant_id: UUID, data: TemplateIn) -> TemplateOut:
    """A new template of a shop or, with `MARKET_ID`, of the market. Raises `Invalid`, `Forbidden`."""
    config = tx.config(Config)
    if merchant_id != MARKET_ID and not config.merchants_may_issue:
        raise Forbidden("Shops do not issue coupons in this market.", code="not_issuing")
    faults = [*_value_faults(data), *_scope_faults(data, merchant_id), *_valid_faults(data.valid, tx.now)]
    if data.total > config.max_total:
        faults.append(FieldError("total", "range", f"At most {config.max_total}."))
    if data.claim != "open":
        faults.append(FieldError("claim", "unsupported", "Only coupons that everybody may claim: open."))
    if faults:
        raise Invalid("This template cannot be issued; see errors.", *faults)
    share = 10_000 if merchant_id != MARKET_ID else data.merchant_share_bp or 0
    terms = Terms(
        data.name, data.kind, data.scope.kind, data.threshold, tuple(data.scope.ids), data.amount or 0,
        data.rate_bp or 0, data.cap, share,
    )  # fmt: skip
    valid = (data.valid.from_, data.valid.to, data.valid.days)
    limits = (data.total, data.per_account)
    row = await repository.add(tx, (merchant_id, new_id()), terms, data.claim, limits, valid)
    return _template_out(row, staff=True)


def _value_faults(data: TemplateIn) -> Iterable[FieldError]:
    if data.kind == "amount":
        if data.amount is None:
            yield FieldError("amount", "required", "Say how many fen it takes off.")
        if data.rate_bp is not None or data.cap is not None:
            yield FieldError("rate_bp", "unexpected", "rate_bp and cap are for the kind rate.")
        return
    if data.rate_bp is None:
        yield FieldError("rate_bp", "required", "Say which share it takes off, in basis points.")
    if data.amount is not None:
        yield FieldError("amount", "unexpected", "amount is for the kind amount.")


def _scope_faults(data: TemplateIn, merchant_id: UUID) -> Iterable[FieldError]:
    kind, ids = data.scope.kind, data.scope.ids
    if merchant_id != MARKET_ID:
        if kind == "merchants":
            yield FieldError("scope.kind", "unsupported", "A shop's coupon holds in that shop only.")
        if data.merchant_share_bp is not None:
            yield FieldError("merchant_share_bp", "unexpected", "A shop bears its own coupons.")
    if (kind == "all") == bool(ids):
        yield FieldError("scope.ids", "mismatch", "Name ids for every scope but all, which takes none.")
    for at, text in enumerate(ids if kind != "all" else ()):
        try:
            owner = parse_pair(text)[0] if kind == "products" else parse_ref(text)
        except NotFound:
            owner = None
        foreign = kind == "products" and merchant_id not in (MARKET_ID, owner)
        if owner is None or foreign:
            yield FieldError(f"scope.ids[{at}]", "unknown", f"This is not the id of one of {kind}.")


def _valid_faults(valid: Valid, now: datetime) -> Iterable[FieldError]:
    if valid.to is None and valid.days is None:
        yield FieldError("valid", "required", "Say until when: to, days, or both.")
    if valid.to is not None and valid.to <= max(now, valid.from_ or now):
        yield FieldError("valid.to", "range", "Must be in the future and after from.")


async def issued(tx: Tx, merchant_id: UUID, cursor: str | None, limit: int) -> Page[TemplateOut]:
    """A merchant's templates with their statistics."""
    before = decode_cursor(cursor, UUID) if cursor else None
    rows = await repository.of_issuer(tx, merchant_id, before, check_limit(limit) + 1)
    return Page([_template_out(row, staff=True) for row in rows[:limit]], _next(rows, limit))


async def stop(tx: Tx, merchant_id: UUID, template_id: str) -> TemplateOut:
    """Hand out no more. Raises `NotFound`, also for another merchant's template."""
    key = parse_pair(template_id)
    row = await repository.stop(tx, key) if key[0] == merchant_id else None
    if row is None:
        raise NotFound("There is no such coupon template.")
    return _template_out(row, staff=True)


async def claimable(
    tx: Tx, account_id: UUID | None, merchant_id: str | None, cursor: str | None, limit: int
) -> Page[TemplateOut]:
    """Templates that anybody may claim now, of one shop (or the market), or of all."""
    before = decode_cursor(cursor, UUID) if cursor else None
    issuer = parse_ref(merchant_id) if merchant_id else None
    rows = await repository.claimable(tx, account_id, issuer, before, check_limit(limit) + 1)
    mine = account_id is not None
    return Page([_template_out(row, mine=mine) for row in rows[:limit]], _next(rows, limit))


async def claim(tx: Tx, account_id: UUID, template_id: str) -> CouponOut:
    """Claim one coupon; exact under concurrency. Runs in the system scope: it writes the issuer's row too.

    Raises `NotFound`, `Conflict` `sold_out`, `not_claimable` or `claim_limit`.
    """
    key = parse_pair(template_id)
    taken = await repository.take(tx, key)
    if taken is None:
        raise _why_not(await repository.template(tx, key))
    valid_from = max(tx.now, taken["valid_from"] or tx.now)
    ends = [taken["valid_to"]] if taken["valid_to"] is not None else []
    if taken["valid_days"] is not None:
        ends.append(tx.now + timedelta(days=taken["valid_days"]))
    row = await repository.give(tx, account_id, new_id(), taken, valid_from, min(ends))
    if row is None:
        limit = taken["per_account"]
        raise Conflict(f"Everybody can claim {limit} of this coupon, and you did.", code="claim_limit")
    return _coupon_out(row, tx.now)


def _why_not(row: asyncpg.Record | None) -> NotFound | Conflict:
    if row is None:
        return NotFound("There is no such coupon template.")
    if row["status"] == "open" and row["claimed"] >= row["total"]:
        return Conflict("All of these coupons are claimed.", code="sold_out")
    return Conflict("This coupon cannot be claimed at present.", code="not_claimable")


async def held(
    tx: Tx, account_id: UUID, status: str | None, cursor: str | None, limit: int
) -> Page[CouponOut]:
    """The account's coupons; `status` lists states, separated by commas."""
    statuses = status.split(",") if status else list(STATUSES)
    if not set(statuses) <= set(STATUSES):
        known = f"Use {', '.join(STATUSES)}, separated by commas."
        raise Invalid("Unknown status.", FieldError("status", "unknown", known))
    before = decode_cursor(cursor, UUID) if cursor else None
    rows = await repository.of_buyer(tx, account_id, statuses, before, check_limit(limit) + 1)
    return Page([_coupon_out(row, tx.now) for row in rows[:limit]], _next(rows, limit))


async def rules(tx: Tx, basket: Basket) -> Sequence[PriceRule]:
    """A rule for each coupon of the buyer that may matter here: all usable ones, or just those that were
    named."""
    if basket.account_id is None:
        return []
    ids = _choice(basket).ids
    if ids == "best":
        merchants = list({line.merchant_id for line in basket.lines})
        return [_rule(row, chosen=False) for row in await repository.usable(tx, basket.account_id, merchants)]
    wanted = {text: _id_or_none(text) for text in ids}
    known = [coupon_id for coupon_id in wanted.values() if coupon_id is not None]
    rows = await repository.named(tx, basket.account_id, known) if known else []
    found: list[PriceRule] = [_rule(row, chosen=True) for row in rows]
    mine = {rule.id for rule in found}
    found += [UnknownCoupon(plugin=PLUGIN, id=text, kind=MARKET, label="", chosen=True)
              for text in wanted if text not in mine]  # fmt: skip
    return found


def _choice(basket: Basket) -> Choice:
    try:
        return msgspec.convert(basket.options.get(PLUGIN, {}), Choice)
    except msgspec.ValidationError as error:
        fault = FieldError("options.coupons", "invalid", str(error))
        raise Invalid('options.coupons takes {"ids": [...]} or {"ids": "best"}.', fault) from None


def _id_or_none(text: str) -> UUID | None:
    try:
        return parse_ref(text)
    except NotFound:
        return None


def _rule(row: asyncpg.Record, *, chosen: bool) -> CouponRule:
    terms = msgspec.json.decode(row["terms_json"], type=Terms)
    of_market = row["merchant_id"] == MARKET_ID
    decode = (lambda text: parse_pair(text)[1]) if terms.scope == "products" else parse_ref
    return CouponRule(
        plugin=PLUGIN,
        id=ref(row["id"]),
        kind=MARKET if of_market else SHOP,
        label=terms.name,
        merchant_id=None if of_market else row["merchant_id"],
        chosen=chosen,
        terms=terms,
        ids=frozenset([decode(text) for text in terms.ids]),
        used=row["status"] == "used",
        valid_from=row["valid_from"],
        expires_at=row["expires_at"],
    )


async def use(tx: Tx, placement: Placement) -> None:
    """Mark what the placement applied as used. Raises `Conflict` `coupon_used` if one no longer can be."""
    orders: dict[UUID, list[UUID]] = {parse_ref(rule): [] for rule in placement.rules_of(PLUGIN)}
    for order in placement.orders:
        applied = {a.rule for line in order.priced.lines for a in line.adjustments if a.plugin == PLUGIN}
        for rule in applied:
            orders[parse_ref(rule)].append(order.id)
    if orders and await repository.use(tx, placement.account_id, placement.trade_id, orders) < len(orders):
        raise Conflict(
            "A coupon was used or expired in the meantime; look at the new price.", code="coupon_used"
        )


async def give_back(tx: Tx, closing: Closing) -> None:
    """Return the coupons of closed orders: a shop's with its order, the market's once the whole trade is
    given up. One that has expired in the meantime shows as expired."""
    issuers = [order.merchant_id for order in closing.orders]
    if closing.whole_trade:
        issuers.append(MARKET_ID)
    await repository.give_back(tx, closing.account_id, closing.trade_id, issuers)


async def count(tx: Tx, event: OrderEvent) -> None:
    """Count a paid order for the templates that brought it."""
    await repository.count(tx, event.account_id, event.trade_id, event.order_id)


def _next(rows: Sequence[asyncpg.Record], limit: int) -> str | None:
    return encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None


def _terms_out(merchant_id: UUID, template_id: UUID, terms: Terms) -> CouponTerms:
    rated = terms.kind == "rate"
    return CouponTerms(
        id=ref(merchant_id, template_id),
        merchant_id=ref(merchant_id),
        name=terms.name,
        kind=terms.kind,
        amount=UNSET if rated else terms.amount,
        rate_bp=terms.rate_bp if rated else UNSET,
        cap=terms.cap if terms.cap is not None else UNSET,
        threshold=terms.threshold,
        scope=ScopeOut(terms.scope, terms.ids),
    )


def _template_out(row: asyncpg.Record, *, staff: bool = False, mine: bool = False) -> TemplateOut:
    terms = msgspec.json.decode(row["terms_json"], type=Terms)
    statistics = Statistics(row["total"], row["claimed"], row["used"], row["orders_brought"])
    return TemplateOut(
        **msgspec.structs.asdict(_terms_out(row["merchant_id"], row["id"], terms)),
        status=row["status"],
        claim=row["claim"],
        total=row["total"],
        per_account=row["per_account"],
        left=row["total"] - row["claimed"],
        valid=Valid(row["valid_from"], row["valid_to"], row["valid_days"]),
        merchant_share_bp=terms.merchant_share_bp,
        created_at=row["created_at"],
        mine=row["mine"] if mine else UNSET,
        statistics=statistics if staff else UNSET,
    )


def _coupon_out(row: asyncpg.Record, now: datetime) -> CouponOut:
    terms = msgspec.json.decode(row["terms_json"], type=Terms)
    status = row["status"] if row["status"] == "used" or row["expires_at"] > now else "expired"
    template = _terms_out(row["merchant_id"], row["template_id"], terms)
    return CouponOut(ref(row["id"]), template, status, row["valid_from"], row["expires_at"])
