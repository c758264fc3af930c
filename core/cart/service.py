"""The cart and the quote. A line that cannot be bought as it stands says why and counts in no total."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import asyncpg
from msgspec import UNSET
from msgspec.structs import replace

from core.cart import basket, repository
from core.cart.basket import Loaded, LoadedLine, Wanted
from core.cart.schemas import (
    MAX_CART_LINES,
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
from core.catalog.schemas import MAX_QUANTITY
from core.db.tx import Tx
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import parse_pair, parse_ref, ref
from core.pricing import service as pricing
from core.pricing.text import Language, tell
from core.types.identity import Merging
from core.types.pricing import Basket, BasketLine, Problem, Quote

# What may be wrong with a shop's parcel: with each of its lines that must be sent, that is. A way of shipping that is gone
# only has to be chosen anew, so its lines go on counting and the quote shows what there is to choose from.
_NOT_SENT = "not_deliverable"
_OF_PARCELS = (_NOT_SENT, "shipping_option_gone")


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
    """Remove the lines that cannot be bought as they stand; not those that only cannot be sent to this address."""
    await repository.drop_invalid(tx, account_id)
    return await show(tx, account_id)


async def merge_guest(tx: Tx, merging: Merging) -> None:
    """Put a guest's cart into that of the account that signed in, both locked; one statement, in the system scope.

    Quantities of the same SKU add up to at most `MAX_QUANTITY`, and the account's line keeps what else it says; it is
    selected when either was. The cart stays within `MAX_CART_LINES`: the account's lines first, then the guest's newest.
    """
    await repository.merge(tx, merging.guest_id, merging.account_id)


async def quote(tx: Tx, account_id: UUID, request: QuoteRequest) -> Quote:
    """Price the request for one of the account's addresses. Raises `NotFound` for an address it has not."""
    return await _priced(tx, await _asked(tx, account_id, request))


async def explain(tx: Tx, account_id: UUID, request: QuoteRequest, language: Language) -> str:
    """The quote in words: every line, what came off it and who bears that, and what did not apply. Raises as `quote`."""
    loaded = await _asked(tx, account_id, request)
    names = {ref(merchant_id): name for merchant_id, name in loaded.names.items()}
    return tell(await _priced(tx, loaded), names, language)


async def _asked(tx: Tx, account_id: UUID, request: QuoteRequest) -> Loaded:
    loaded = await to_basket(tx, account_id, request)
    if request.address_id and loaded.basket.region is None:
        raise NotFound("There is no such address.")
    refuse_too_many(loaded)
    return loaded


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
        found[sku] = Wanted(*sku, quantity, line.options, line.source)
    return list(found.values())


async def _priced(tx: Tx, loaded: Loaded) -> Quote:
    """The quote without lines that their shop does not deliver. When there are such it is reckoned anew, for what they bring
    towards a coupon or free shipping must not count either; the plugins are asked once."""
    asked = await pricing.load(tx, loaded.basket, loaded.problems)
    whole = pricing.reckon(asked, tx.snapshot.matrix)
    stay = tuple(p for p in whole.problems if p.code == _NOT_SENT)
    if not stay:
        return whole
    shops = {p.merchant_id for p in stay}
    lines = tuple(x for x in loaded.basket.lines if not (x.requires_shipping and ref(x.merchant_id) in shops))
    left = replace(asked, basket=replace(loaded.basket, lines=lines), problems=(*loaded.problems, *stay))
    return pricing.reckon(left, tx.snapshot.matrix)


async def _out(tx: Tx, account_id: UUID, rows: Sequence[asyncpg.Record]) -> CartOut:
    loaded = basket.from_rows(Basket((), account_id, tx.now), rows)
    quote = await _priced(tx, loaded)
    parcels = {p.merchant_id: p for p in quote.problems if p.code in _OF_PARCELS and p.sku_id is None}
    by_shop: dict[UUID, list[LoadedLine]] = {}
    for line in loaded.lines:
        by_shop.setdefault(line.line.merchant_id, []).append(line)
    return CartOut([_shop_out(shop, lines, parcels) for shop, lines in by_shop.items()], quote)


def _shop_out(
    merchant_id: UUID, lines: Sequence[LoadedLine], parcels: Mapping[str | None, Problem]
) -> CartShop:
    shop = ref(merchant_id)
    parcel = parcels.get(shop)
    closed = next((x.problem for x in lines if x.problem and x.problem.code == "shop_closed"), None)
    return CartShop(
        CartMerchant(shop, lines[0].merchant_name),
        [_line_out(line, line.problem or _not_sent(line.line, parcel)) for line in lines],
        Problem(closed.code, closed.detail, merchant_id=shop, zh=closed.zh) if closed else parcel or UNSET,
    )


def _not_sent(line: BasketLine, parcel: Problem | None) -> Problem | None:
    """The problem of a shop's parcel as that of one of its lines."""
    return replace(parcel, sku_id=line.key) if parcel and line.requires_shipping else None


def _line_out(loaded: LoadedLine, problem: Problem | None) -> CartLineOut:
    line, seen, most = loaded.line, loaded.price_seen, loaded.max_quantity
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
        min_quantity=loaded.min_quantity if loaded.min_quantity > 1 else UNSET,
        max_quantity=most if most is not None else UNSET,
        problem=problem or UNSET,
        price_seen=seen if seen is not None and seen != line.unit_price else UNSET,
    )
