"""Coupons that are handed to people: to chosen accounts, as a gift with an order, and through other tools.

Each is handed out for a cause; the same cause gives an account the same coupon but once. All of this runs in the system
scope: templates are their issuers', coupons their buyers'.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from core.api import (
    MARKET_ID,
    Conflict,
    Deduction,
    NotFound,
    OrderEvent,
    PaidLine,
    RefundDraft,
    Tx,
    buyers_of,
    hold_all,
    new_id,
    paid_lines,
    parse_pair,
    parse_ref,
)
from plugins.coupons import handing
from plugins.coupons.claiming import PLUGIN, WHY_NOT
from plugins.coupons.handing import Coupon, Key
from plugins.coupons.happened import CouponsGranted, coupon_granted
from plugins.coupons.schemas import AccountsIn, Gift, GrantsOut, NotGranted, OrdersIn
from plugins.coupons.shown import not_handed_out, span
from plugins.coupons.templates import own

_REFUNDED = "The order that it came with was refunded."


class Wanted(NamedTuple):
    """`quantity` coupons of a template for an account and a cause."""

    key: Key
    account_id: UUID
    cause: str
    quantity: int = 1


class Outcome(NamedTuple):
    """How many of them the account has got for this cause, now or before, and a code of `WHY_NOT` if not all."""

    quantity: int
    code: str = ""


async def hand_out(tx: Tx, wanted: Sequence[Wanted], claim: str) -> list[Outcome]:
    """Hand coupons out that were not handed out before; exact under concurrency, one outcome for each of `wanted`.

    `claim` is how the templates must be handed out. Locks them all, in order; total and per account hold for this too.
    """
    templates = await handing.lock(tx, [w.key for w in wanted])
    held = await handing.held(tx, [(*w.key, w.account_id, w.cause) for w in wanted])
    work = _Work(tx, templates, claim)
    outcomes = [work.one(w, row) for w, row in zip(wanted, held, strict=True)]
    if work.coupons:
        await handing.hand_out(tx, work.coupons, claim)
        accounts = sorted({coupon.account_id for coupon in work.coupons})
        await hold_all(tx, accounts, PLUGIN, max(coupon.expires_at for coupon in work.coupons))
        _tell(tx, work.coupons, claim)
    return outcomes


class _Work:
    """What one batch comes to; it counts on what it has given away itself."""

    def __init__(self, tx: Tx, templates: Mapping[Key, asyncpg.Record], claim: str) -> None:
        self.tx, self.templates, self.claim = tx, templates, claim
        self.coupons: list[Coupon] = []
        self._left = {key: row["total"] - row["claimed"] for key, row in templates.items()}
        self._given: Counter[tuple[Key, UUID]] = Counter()
        self._caused: Counter[tuple[Key, UUID, str]] = Counter()

    def one(self, wanted: Wanted, held: asyncpg.Record) -> Outcome:
        """Hand out what can be; `held` is what the account had before the batch."""
        key, account_id, cause, quantity = wanted
        before = held["had"] + self._caused[key, account_id, cause]
        due = quantity - before
        if due <= 0:
            return Outcome(quantity)
        row = self.templates.get(key)
        code = self._refusal(row)
        if code is not None or row is None:
            return Outcome(before, code or "unknown")
        given = self._given[key, account_id]
        room = row["per_account"] - held["held"] - given
        number = max(0, min(due, room, self._left[key]))
        self._write(wanted, held["last"] + given, number, row)
        short = "" if number == due else "sold_out" if self._left[key] == 0 else "claim_limit"
        return Outcome(before + number, short)

    def _refusal(self, row: asyncpg.Record | None) -> str | None:
        if row is None:
            return "unknown"
        if row["claim"] != self.claim:
            return "not_claimable"
        code = not_handed_out(row, self.tx.now)
        return None if code == "sold_out" else code

    def _write(self, wanted: Wanted, last: int, number: int, row: asyncpg.Record) -> None:
        valid = span(row, self.tx.now)
        assert valid is not None
        key, account_id, cause, _ = wanted
        self.coupons += [
            Coupon(key, account_id, new_id(), last + n, *valid, cause) for n in range(1, number + 1)
        ]
        self._left[key] -= number
        self._given[key, account_id] += number
        self._caused[key, account_id, cause] += number


def _tell(tx: Tx, coupons: Iterable[Coupon], origin: str) -> None:
    by_holder: dict[tuple[UUID, Key], list[Coupon]] = {}
    for coupon in coupons:
        by_holder.setdefault((coupon.account_id, coupon.key), []).append(coupon)
    for (account_id, key), found in by_holder.items():
        ids = tuple(coupon.id for coupon in found)
        tx.emit(coupon_granted, CouponsGranted(account_id, *key, ids, origin, found[0].expires_at))


async def to_accounts(tx: Tx, template_id: str, data: AccountsIn) -> GrantsOut:
    """Hand a coupon of the market to these accounts. Raises `NotFound`, and `Conflict` `not_targeted`."""
    ids = [_id_or_none(text) for text in data.accounts]
    logins = [login.strip().lower() for login in data.logins]
    rows = await handing.accounts(tx, [i for i in ids if i is not None], logins)
    known, by_login = {row["id"] for row in rows}, {row["login"]: row["id"] for row in rows}
    people = [*[i if i in known else None for i in ids], *[by_login.get(login) for login in logins]]
    return await _targeted(tx, own(MARKET_ID, template_id), people, data.cause, "account")


async def to_buyers(tx: Tx, merchant_id: UUID, template_id: str, data: OrdersIn) -> GrantsOut:
    """Hand a coupon of the shop to the buyers of these of its orders, whom it does not learn.

    Raises `NotFound`, and `Conflict` `not_targeted`.
    """
    key = own(merchant_id, template_id)
    pairs = [_pair_or_none(text) for text in data.order_ids]
    orders = [pair[1] if pair is not None and pair[0] == merchant_id else None for pair in pairs]
    buyers = await buyers_of(tx, merchant_id, [order for order in orders if order is not None])
    people = [None if order is None else buyers.get(order) for order in orders]
    return await _targeted(tx, key, people, data.cause, "order")


async def _targeted(tx: Tx, key: Key, people: Sequence[UUID | None], cause: str, what: str) -> GrantsOut:
    template = (await handing.lock(tx, [key])).get(key)
    if template is None:
        raise NotFound("There is no such coupon template.")
    if template["claim"] != "targeted":
        raise Conflict("This template is not for chosen accounts.", code="not_targeted")
    known = [person for person in dict.fromkeys(people) if person is not None]
    wanted = [Wanted(key, person, f"grant:{cause}") for person in known]
    outcomes = dict(zip(known, await hand_out(tx, wanted, "targeted") if wanted else [], strict=True))
    refused = []
    for index, person in enumerate(people):
        if person is None:
            refused.append(NotGranted(index, f"unknown_{what}", f"There is no such {what}."))
        elif outcomes[person].quantity == 0:
            code = outcomes[person].code
            refused.append(NotGranted(index, code, WHY_NOT[code]))
    return GrantsOut(sum(1 for outcome in outcomes.values() if outcome.quantity), refused)


async def give_gifts(tx: Tx, event: OrderEvent, also: Collection[Key] = ()) -> None:
    """Give the buyer of a paid order the coupons that come with it: its shop's and the market's. The templates `also`, which
    the transaction changes after this, are locked together with those of the gifts, in one order."""
    templates = await handing.gifts(tx, event.merchant_id)
    if not templates:
        return
    lines = await paid_lines(tx, event.merchant_id, event.order_id)
    wanted = [
        Wanted((row["merchant_id"], row["id"]), event.account_id, _cause(event.order_id))
        for row in templates
        if _brings(msgspec.json.decode(row["gift_json"], type=Gift), event.merchant_id, lines)
    ]
    if wanted:
        if also:
            await handing.lock(tx, [*also, *(w.key for w in wanted)])
        await hand_out(tx, wanted, "gift")


async def take_back(tx: Tx, refund: RefundDraft) -> Sequence[Deduction]:
    """Take back the gifts of an order that no longer brings them once this refund is made: those that are unused become
    void, of those that were used the worth is to be kept back, once."""
    found = await handing.caused_by(tx, refund.account_id, _cause(refund.order_id))
    lost = []
    if found and not refund.whole_order:
        left = await paid_lines(tx, refund.merchant_id, refund.order_id, without=refund.id)
        kept = _less(left, refund)
        lost = [row for row in found if not _still_brings(row["gift_json"], refund, kept)]
    gone = found if refund.whole_order else lost
    return await _take_back(tx, refund.account_id, gone, refund.merchant_id)


async def revoke(tx: Tx, account_id: UUID, cause: str) -> Sequence[Deduction]:
    """Take back all coupons that an account was given for a cause; as `take_back`."""
    return await _take_back(tx, account_id, await handing.caused_by(tx, account_id, cause), None)


async def _take_back(
    tx: Tx, account_id: UUID, rows: Sequence[asyncpg.Record], merchant_id: UUID | None
) -> list[Deduction]:
    if not rows:
        return []
    await handing.lock(tx, [(row["merchant_id"], row["template_id"]) for row in rows])
    used = await handing.take_back(tx, account_id, [row["id"] for row in rows], _REFUNDED)
    if not used:
        return []
    coupons = {row["id"]: row for row in used}
    found: Counter[tuple[str, str]] = Counter()
    for row in await handing.worth(tx, account_id, list(coupons)):
        coupon = coupons[row["coupon_id"]]
        # What another shop bore of a coupon of the market is the market's to have back: it gave the coupon away.
        own_money = merchant_id in (None, row["merchant_id"]) or coupon["merchant_id"] != MARKET_ID
        found[coupon["name"], "market"] += row["market"] + (0 if own_money else row["merchant"])
        found[coupon["name"], "merchant"] += row["merchant"] if own_money else 0
    return [Deduction(PLUGIN, name, amount, bearer) for (name, bearer), amount in found.items() if amount > 0]


def _cause(order_id: UUID) -> str:
    return f"order:{order_id}"


def _brings(gift: Gift, merchant_id: UUID, lines: Sequence[PaidLine]) -> bool:
    named = _products(gift, merchant_id)
    bought = [line for line in lines if line.quantity > 0 and (named is None or line.product_id in named)]
    return bool(bought) and sum(line.amount for line in bought) >= gift.min_paid


def _still_brings(gift_json: str | None, refund: RefundDraft, kept: Sequence[PaidLine]) -> bool:
    gift = Gift() if gift_json is None else msgspec.json.decode(gift_json, type=Gift)
    if gift.product_ids:
        return _brings(gift, refund.merchant_id, kept)
    # A gift of the shop that the buyer keeps was not bought.
    bought = any(line.kind != "gift" and line.quantity for line in kept)
    return bought and refund.kept_amount >= gift.min_paid


def _less(lines: Sequence[PaidLine], refund: RefundDraft) -> list[PaidLine]:
    """The lines without what the refund takes of them."""
    gone: Counter[UUID] = Counter()
    money: Counter[UUID] = Counter()
    for part in refund.lines:
        gone[part.line_id] += part.quantity
        money[part.line_id] += part.amount
    return [
        msgspec.structs.replace(
            line, quantity=line.quantity - gone[line.line_id], amount=line.amount - money[line.line_id]
        )
        for line in lines
    ]


def _products(gift: Gift, merchant_id: UUID) -> set[UUID] | None:
    """The products of this shop that a gift comes with; None for any."""
    if not gift.product_ids:
        return None
    return {key[1] for key in map(parse_pair, gift.product_ids) if key[0] == merchant_id}


def _id_or_none(text: str) -> UUID | None:
    try:
        return parse_ref(text)
    except NotFound:
        return None


def _pair_or_none(text: str) -> Key | None:
    try:
        return parse_pair(text)
    except NotFound:
        return None
