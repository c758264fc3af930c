"""A flash price in a purchase: priced, taken by placing, given back by closing and refunding."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec

from core.api import (
    Basket,
    BasketLine,
    Closing,
    Conflict,
    FieldError,
    Invalid,
    NotFound,
    Placement,
    PriceRule,
    Refunded,
    Tx,
    parse_pair,
    parse_ref,
    ref,
)
from plugins.flash_sale import tickets, usage
from plugins.flash_sale.config import Config
from plugins.flash_sale.rules import PRICE, PRICE_OPEN, FlashRule, NoSale, Offer
from plugins.flash_sale.schemas import Choice
from plugins.flash_sale.tickets import Claim, Ticket
from plugins.flash_sale.usage import Taking

PLUGIN = "flash_sale"


async def rules(tx: Tx, basket: Basket) -> Sequence[PriceRule]:
    """The flash price of the one line, if the buyer asks for it. One statement, none without `options.flash_sale`.

    Raises `Invalid` for a choice that is none, `Conflict` `single_sku` for more than one SKU.
    """
    if PLUGIN not in basket.options:
        return []
    choice = _choice(basket)
    if len(basket.lines) != 1:
        raise Conflict("At a flash price one product is bought by itself.", code="single_sku")
    line = basket.lines[0]
    activity_id = _id_or_none(choice.activity_id)
    if activity_id is None:
        return [_no_sale(choice.activity_id, line)]
    ticket = None
    if choice.token is not None and basket.account_id is not None:
        claim = Claim(basket.account_id, activity_id, line.sku_id)
        ticket = tickets.read(tx.env.vault, claim, choice.token)
    nonce = ticket.nonce if ticket else None
    row = await usage.offer(tx, activity_id, (line.merchant_id, line.sku_id), basket.account_id, nonce)
    if row is None:
        return [_no_sale(choice.activity_id, line)]
    return [_rule(row, activity_id, line, ticket, _fault(row, choice, ticket, basket.now))]


def _choice(basket: Basket) -> Choice:
    try:
        return msgspec.convert(basket.options[PLUGIN], Choice)
    except msgspec.ValidationError as error:
        fault = FieldError("options.flash_sale", "invalid", str(error))
        raise Invalid('options.flash_sale takes {"activity_id", "token"?}.', fault) from None


def _id_or_none(text: str) -> UUID | None:
    try:
        return parse_ref(text)
    except NotFound:
        return None


def _no_sale(named: str, line: BasketLine) -> NoSale:
    return NoSale(plugin=PLUGIN, id=named, kind=PRICE, label="", merchant_id=line.merchant_id)


def _fault(row: asyncpg.Record, choice: Choice, ticket: Ticket | None, now: datetime) -> str:
    if choice.token is None:
        return "token_required" if row["token_required"] else ""
    if ticket is None or now >= ticket.until:
        return "token_invalid"
    return "token_used" if row["used"] else ""


def _rule(
    row: asyncpg.Record, activity_id: UUID, line: BasketLine, ticket: Ticket | None, fault: str
) -> FlashRule:
    parts = [activity_id, line.sku_id, *([ticket.nonce] if ticket else [])]
    return FlashRule(
        plugin=PLUGIN,
        id=":".join(map(ref, parts)),
        kind=PRICE_OPEN if row["market_coupons"] else PRICE,
        label=row["name"],
        merchant_id=line.merchant_id,
        activity_id=activity_id,
        key=line.key,
        offer=offer_of(row),
        fault=fault,
    )


def offer_of(row: asyncpg.Record) -> Offer:
    """The offer in a row of `usage.offer`."""
    return Offer(
        name=row["name"],
        price=row["price"],
        per_order=row["per_order"],
        per_account=row["per_account"],
        left=row["left"],
        taken=row["taken"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        share_bp=row["merchant_share_bp"],
        market_coupons=row["market_coupons"],
    )


async def claim(tx: Tx, placement: Placement) -> datetime | None:
    """Take what was bought at a flash price; the answer is by when it has to be paid.

    Raises `Conflict`: `flash_over`, `account_limit`, `token_used`, `sold_out`.
    """
    taking = _taking(placement)
    if taking is None:
        return None
    row = await usage.take(tx, placement.account_id, taking)
    if not row["sale"]:
        raise Conflict("The sale is over.", code="flash_over")
    if not row["mine"]:
        raise Conflict("You have as many of this sale as you may have.", code="account_limit")
    if not row["noted"]:
        raise Conflict("This request token was used already; ask for admission again.", code="token_used")
    if not row["sold"]:
        raise Conflict("The pieces of this sale are gone.", code="sold_out")
    return tx.now + timedelta(seconds=tx.config(Config).pay_within)


def _taking(placement: Placement) -> Taking | None:
    """What the trade takes: the one line with a flash price."""
    for order in placement.orders:
        for line in order.priced.lines:
            for part in line.adjustments:
                if part.plugin == PLUGIN:
                    activity_id, _, *nonce = map(parse_ref, part.rule.split(":"))
                    return Taking(
                        placement.trade_id,
                        order.id,
                        *parse_pair(line.sku_id),
                        activity_id,
                        line.quantity,
                        nonce[0] if nonce else None,
                    )
    return None


async def close(tx: Tx, closing: Closing) -> None:
    """Orders are given up: what they took is for sale again, and no longer counts for the account."""
    await usage.close(tx, closing.account_id, closing.trade_id, [order.id for order in closing.orders])


async def settle(tx: Tx, refunded: Refunded) -> None:
    """Pieces were refunded: while the sale runs they are for sale again, if the market wants that."""
    refund = refunded.refund
    pieces = sum(
        line.quantity for line in refund.lines if any(cut.plugin == PLUGIN for cut in line.discounts)
    )
    if pieces and tx.config(Config).refund_returns_quota:
        await usage.refund(tx, refund.account_id, refund.trade_id, refund.order_id, refund.id, pieces)
