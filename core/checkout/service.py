"""Placing a trade: quote again inside the transaction, refuse what moved, then write everything at once."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from core import hookspecs
from core.cart import service as cart
from core.checkout import draft as drafting
from core.checkout import earning, hurry, repository
from core.checkout.draft import Buyer, Draft
from core.checkout.earning import EarningRow
from core.checkout.schemas import CheckoutRequest, CloseTimer
from core.db.tx import Tx
from core.identity.addresses import OrderAddress
from core.kit import logs
from core.kit.errors import Conflict, Invalid
from core.kit.ids import ref
from core.orders import planning
from core.orders.schemas import TradeOut
from core.pricing import service as pricing
from core.types.events import TradeEvent
from core.types.pricing import BasketLine, Problem, Quote


async def checkout(tx: Tx, account_id: UUID, request: CheckoutRequest) -> TradeOut:
    """Place the trade. Runs in the system scope: it touches stock and orders of several merchants.

    Raises `Conflict`: `out_of_stock` with the SKUs, `not_purchasable` with the problems, `price_changed` with the new
    quote, `too_many_unpaid`, and whatever a guard of a plugin refuses with.
    """
    loaded = await cart.to_basket(tx, account_id, request, to_order=True)
    address = loaded.address
    if request.address_id and address is None:
        raise _address_gone()
    cart.refuse_too_many(loaded)
    if not loaded.basket.lines and not loaded.problems:
        raise Invalid("There is nothing to buy: select cart lines or send lines.", code="empty")
    quote = await pricing.price(tx, loaded.basket, loaded.problems)
    _refuse_problems([*quote.problems, *_address_problems(loaded.basket.lines, address)])
    _refuse_moved(quote, request.expected_payable)
    draft = drafting.make_draft(
        tx.env.vault,
        Buyer(account_id, address),
        quote,
        {line.key: line for line in loaded.basket.lines},
        loaded.names,
        request.remarks,
        tx.snapshot.commission,
        tx.now,
        tx.now + timedelta(seconds=tx.env.settings.unpaid_ttl),
    )
    draft, earnings = await earning.load(tx, draft)
    draft = await _place(tx, draft, earnings)
    return drafting.shown(draft, Buyer(account_id, address))


def _address_gone() -> Conflict:
    return Conflict(
        "This address is not in your address book; choose another.",
        code="not_purchasable",
        problems=[
            Problem(
                "address_gone", "This address is not in your address book.", zh="该地址已不在您的地址簿中。"
            )
        ],
    )


def _address_problems(lines: Sequence[BasketLine], address: OrderAddress | None) -> list[Problem]:
    if address is None and any(line.requires_shipping for line in lines):
        return [
            Problem(
                "address_required",
                "Add an address first: something here must be delivered.",
                zh="有商品需要配送，请先添加收货地址。",
            )
        ]
    return []


def _refuse_problems(problems: Sequence[Problem]) -> None:
    if not problems:
        return
    if all(p.code == "out_of_stock" for p in problems):
        raise _out_of_stock([p.sku_id for p in problems if p.sku_id])
    raise Conflict(
        "Something in this purchase cannot be bought as it stands; see problems.",
        code="not_purchasable",
        problems=list(problems),
    )


def _out_of_stock(skus: Sequence[str]) -> Conflict:
    return Conflict(
        "There is not enough left of some goods; lower the quantity or remove them.",
        code="out_of_stock",
        skus=list(skus),
        problems=[Problem("out_of_stock", "Not enough left.", sku_id=s, zh="库存不足。") for s in skus],
    )


def _refuse_moved(quote: Quote, expected: int) -> None:
    if quote.payable != expected:
        raise Conflict(
            f"The price is now {quote.payable} fen instead of {expected}; look at the new quote and confirm it.",
            code="price_changed",
            quote=quote,
        )


async def _place(tx: Tx, draft: Draft, earnings: Sequence[EarningRow]) -> Draft:
    placement = draft.placement
    row = await repository.place(tx, draft, tx.env.settings.unpaid_trades_per_account)
    if not row["room"]:
        raise Conflict("You have too many unpaid trades; pay or close one first.", code="too_many_unpaid")
    if not row["placed"]:
        held = set(row["held"])
        raise _out_of_stock([ref(m, s) for m, s, _, _ in draft.wanted() if s not in held])
    if earnings:
        await repository.add_earnings(tx, earnings)
    await planning.plan(tx, lambda: drafting.plannings(draft))
    draft = await hurry.claim(tx, draft)
    logs.note(trade_id=ref(placement.trade_id))
    tx.emit(hookspecs.trade_placed, TradeEvent(placement.trade_id, placement.account_id))
    tx.schedule(
        "core",
        "close_unpaid",
        CloseTimer(ref(placement.account_id), ref(placement.trade_id)),
        draft.expires_at,
    )
    return draft
