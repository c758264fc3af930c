"""Routes of stock."""

from litestar import get, post

from core.db.tx import Tx
from core.inventory import service
from core.inventory.schemas import StockMoveIn, StockOut
from core.kit.paging import DEFAULT_LIMIT, Page
from core.merchants.service import merchant_of
from core.types.routing import permission
from core.types.scope import Principal


@get("/stock", opt=permission("stock.read"))
async def list_stock(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[StockOut]:
    """Stock of the shop's active SKUs."""
    return await service.listed(tx, merchant_of(me), cursor, limit)


@post("/stock/moves", opt=permission("stock.write"), status_code=200)
async def move_stock(tx: Tx, me: Principal, data: StockMoveIn) -> StockOut:
    """Correct what is on hand of one SKU; journalled."""
    return await service.move(tx, merchant_of(me), data)


merchant_routes = [list_stock, move_stock]
