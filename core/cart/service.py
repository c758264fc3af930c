"""The cart and the quote."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import asyncpg
from msgspec import UNSET

from core.cart import basket, repository
from core.cart.basket import Loaded, LoadedLine, Wanted
from core.cart.schemas import (
    MAX_CART_LINES,
    MAX_QUANTITY,
    MAX_QUOTE_LINES,
    CartLineIn,
    CartLineOut,
    CartMerchant,
    CartOut,
    CartShop,
    QuoteRequest,
    SelectIn,
    WantedLine,
)
from core.db.tx import Tx
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import parse_pair, parse_ref, ref
from core.pricing.service import price
from core.types.pricing import Basket, Quote


async def show(tx: Tx, account_id: UUID) -> CartOut:
    """The account's cart, priced for its default address."""
    return await _out(tx, account_id, await repository.cart(tx, account_id, None))


async def put(tx: Tx, account_id: UUID, sku_id: str, data: CartLineIn) -> CartOut:
    """Set one line; 0 removes it. Raises `NotFound` for an unknown SKU, `Conflict` `cart_full`."""
    sku = parse_pair(sku_id)
    rows = await repository.put(tx, account_id, sku, data.quantity, data.selected, data.source)
    if data.quantity and not any((row["merchant_id"], row["sku_id"]) == sku for row in rows):
        if await repository.sku_known(tx, sku):
            raise Conflict(f"A cart holds {MAX_CART_LINES} articles; remove some first.", code="cart_full")
        raise NotFound("There is no such article.")
    return await _out(tx, account_id, rows)


async def select(tx: Tx, account_id: UUID, data: SelectIn) -> CartOut:
    """Select or deselect lines."""
    skus = [parse_pair(sku_id) for sku_id in data.sku_ids] if data.sku_ids is not None else None
    await repository.select(tx, account_id, data.selected, skus)
    return await show(tx, account_id)


async def clear_invalid(tx: Tx, account_id: UUID) -> CartOut:
    """Remove the lines that cannot be bought as they stand."""
    await repository.drop_invalid(tx, account_id)
    return await show(tx, account_id)


async def quote(tx: Tx, account_id: UUID, request: QuoteRequest) -> Quote:
    """Price the request for one of the account's addresses. Raises `NotFound` for an address it has not."""
    loaded = await to_basket(tx, account_id, request)
    if request.address_id and loaded.basket.region is None:
        raise NotFound("There is no such address.")
    refuse_too_many(loaded)
    return await price(tx, loaded.basket, loaded.problems)


async def to_basket(tx: Tx, account_id: UUID, request: QuoteRequest, *, to_order: bool = False) -> Loaded:
    """What `request` asks for, as a basket; one statement, in the buyer's or the system scope.

    The basket has no region when there is no such address, or no default one; `to_order` loads the address too.
    Raises `NotFound` for ids that are none, `Invalid` for the same SKU with different options or too many of it.
    """
    address_id = parse_ref(request.address_id) if request.address_id else None
    wanted = merge(request.lines) if request.lines is not None else None
    shipping = {parse_ref(merchant_id): key for merchant_id, key in request.shipping.items()}
    empty = Basket((), account_id, tx.now, None, shipping, request.options)
    return await basket.load(tx, empty, account_id, wanted, address_id, to_order=to_order)


def refuse_too_many(loaded: Loaded) -> None:
    """Raises `Conflict` `too_many_lines` for a larger selection than one purchase may hold."""
    if sum(line.selected for line in loaded.lines) > MAX_QUOTE_LINES:
        raise Conflict(
            f"One purchase holds {MAX_QUOTE_LINES} articles; deselect some.", code="too_many_lines"
        )


def merge(lines: Iterable[WantedLine]) -> list[Wanted]:
    """Each SKU once, quantities added up."""
    found: dict[tuple[UUID, UUID], Wanted] = {}
    for at, line in enumerate(lines):
        sku = parse_pair(line.sku_id)
        before = found.get(sku)
        if before is not None and before.options != line.options:
            detail = "The same article is listed twice with different options."
            raise Invalid(detail, FieldError(f"lines[{at}].options", "differs", "List each article once."))
        quantity = line.quantity + (before.quantity if before is not None else 0)
        if quantity > MAX_QUANTITY:
            detail = f"At most {MAX_QUANTITY} of one article."
            raise Invalid(detail, FieldError(f"lines[{at}].quantity", "range", "Lower the quantity."))
        found[sku] = Wanted(*sku, quantity, line.options)
    return list(found.values())


async def _out(tx: Tx, account_id: UUID, rows: Sequence[asyncpg.Record]) -> CartOut:
    loaded = basket.from_rows(Basket((), account_id, tx.now), rows)
    quote = await price(tx, loaded.basket, loaded.problems)
    shops: dict[UUID, CartShop] = {}
    for line in loaded.lines:
        merchant_id = line.line.merchant_id
        if merchant_id not in shops:
            shops[merchant_id] = CartShop(CartMerchant(ref(merchant_id), line.merchant_name), [])
        shops[merchant_id].lines.append(_line_out(line))
    return CartOut(list(shops.values()), quote)


def _line_out(loaded: LoadedLine) -> CartLineOut:
    line = loaded.line
    moved = loaded.price_seen is not None and loaded.price_seen != line.unit_price
    return CartLineOut(
        sku_id=line.key,
        product_id=ref(line.merchant_id, line.product_id),
        title=line.title,
        specs=line.specs,
        quantity=line.quantity,
        selected=loaded.selected,
        price=line.unit_price,
        image_url=line.image_url,
        available=loaded.available,
        problem=loaded.problem or UNSET,
        price_seen=loaded.price_seen if moved and loaded.price_seen is not None else UNSET,
    )
