"""Routes of the cart and the quote, open to guests too."""

from litestar import MediaType, delete, get, post, put

from core.cart import service
from core.cart.schemas import CartLineIn, CartOut, QuoteRequest, SelectIn
from core.db.tx import Tx
from core.pricing.text import Language
from core.types.pricing import Quote
from core.types.routing import GUEST
from core.types.scope import Principal


@get("/cart", opt=GUEST)
async def get_cart(tx: Tx, me: Principal) -> CartOut:
    """The cart by shops, with the quote of what is selected and can be bought."""
    return await service.show(tx, me.account_id)


@put("/cart/lines/{sku_id:str}", opt=GUEST)
async def put_cart_line(tx: Tx, me: Principal, sku_id: str, data: CartLineIn) -> CartOut:
    """Put so many of an article into the cart; 0 removes it."""
    return await service.put(tx, me.account_id, sku_id, data)


@post("/cart/lines/select", opt=GUEST, status_code=200)
async def select_cart_lines(tx: Tx, me: Principal, data: SelectIn) -> CartOut:
    """Select or deselect lines; without `sku_ids` all of them."""
    return await service.select(tx, me.account_id, data)


@delete("/cart/invalid", opt=GUEST, status_code=200)
async def delete_invalid_lines(tx: Tx, me: Principal) -> CartOut:
    """Remove the lines that cannot be bought as they stand, whatever the address."""
    return await service.clear_invalid(tx, me.account_id)


@post("/quote", opt=GUEST, status_code=200)
async def post_quote(tx: Tx, me: Principal, data: QuoteRequest) -> Quote:
    """Price these lines, or the selected lines of the cart, as checkout will."""
    return await service.quote(tx, me.account_id, data)


@post("/quote/explain", opt=GUEST, status_code=200, media_type=MediaType.TEXT)
async def explain_quote(tx: Tx, me: Principal, data: QuoteRequest, language: Language = "zh") -> str:
    """The same in words: every line, what came off it and who bears that, and what did not apply."""
    return await service.explain(tx, me.account_id, data, language)


shop_routes = [get_cart, put_cart_line, select_cart_lines, delete_invalid_lines, post_quote, explain_quote]
