"""Routes of the catalog: browsing, the shop's products and categories, the market's categories."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from litestar import Response, delete, get, patch, post
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body

from core.catalog import browse, categories, products, transfer
from core.catalog.browse import BrowseQuery
from core.catalog.schemas import (
    CategoryIn,
    CategoryOut,
    CategoryPatch,
    CategoryTree,
    ImportReport,
    ProductCard,
    ProductIn,
    ProductOut,
    ProductPage,
    ProductPatch,
)
from core.catalog.shopify_table import MAX_BYTES
from core.db.tx import Tx
from core.kit.ids import parse_ref
from core.kit.paging import DEFAULT_LIMIT, Page
from core.merchants.service import merchant_of
from core.types.routing import BROWSE, GUEST, permission
from core.types.scope import Principal

# Badges may depend on who looks.
_SHELF = BROWSE | GUEST
_READ = permission("products.read")
_WRITE = permission("products.write")
_SHOP = permission("shop.write")
_MANAGE = permission("categories.manage")


@get("/categories", opt=BROWSE)
async def browse_categories(tx: Tx) -> CategoryTree:
    """The market's categories as a tree."""
    return await categories.tree(tx)


@get("/products", opt=_SHELF)
async def browse_products(
    tx: Tx,
    viewer: Principal | None,
    q: str | None = None,
    category_id: str | None = None,
    shop_category_id: str | None = None,
    merchant_id: str | None = None,
    near: str | None = None,
    radius_m: int | None = None,
    min_price: int | None = None,
    max_price: int | None = None,
    sort: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[ProductCard]:
    """Products on sale. `sort`: relevance, price, -price, -sales, distance (needs `near`, lng,lat)."""
    query = BrowseQuery(
        q=q, category_id=category_id, shop_category_id=shop_category_id, merchant_id=merchant_id, near=near,
        radius_m=radius_m, min_price=min_price, max_price=max_price, sort=sort, cursor=cursor, limit=limit,
    )  # fmt: skip
    return await browse.products(tx, query, _account(viewer))


@get("/products/{product_id:str}", opt=_SHELF)
async def browse_product(
    tx: Tx, viewer: Principal | None, product_id: str, near: str | None = None
) -> ProductPage:
    """A product on sale with its SKUs and what of them is available."""
    return await browse.product(tx, product_id, near, _account(viewer))


def _account(viewer: Principal | None) -> UUID | None:
    return viewer.account_id if viewer is not None else None


@get("/products", opt=_READ)
async def list_products(
    tx: Tx,
    me: Principal,
    status: str | None = None,
    q: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[ProductOut]:
    """The shop's products, newest first."""
    return await products.listed(tx, merchant_of(me), status, q, cursor, limit)


@post("/products", opt=_WRITE)
async def create_product(tx: Tx, me: Principal, data: ProductIn) -> ProductOut:
    """Create a product with its SKUs and their stock; a draft unless `status` says otherwise."""
    return await products.create(tx, merchant_of(me), data)


@get("/products/{product_id:str}", opt=_READ)
async def get_product(tx: Tx, me: Principal, product_id: str) -> ProductOut:
    """One of the shop's products."""
    merchant_id = merchant_of(me)
    return await products.shown(tx, merchant_id, products.own_product(merchant_id, product_id))


@patch("/products/{product_id:str}", opt=_WRITE)
async def patch_product(tx: Tx, me: Principal, product_id: str, data: ProductPatch) -> ProductOut:
    """Change a product; what is left out stays. `skus`, when sent, is the whole list: missing ones are retired."""
    merchant_id = merchant_of(me)
    return await products.change(tx, merchant_id, products.own_product(merchant_id, product_id), data)


@post("/products/{product_id:str}/list", opt=_WRITE, status_code=200)
async def list_product(tx: Tx, me: Principal, product_id: str) -> ProductOut:
    """Put a product on sale."""
    merchant_id = merchant_of(me)
    return await products.set_status(tx, merchant_id, products.own_product(merchant_id, product_id), "listed")


@post("/products/{product_id:str}/delist", opt=_WRITE, status_code=200)
async def delist_product(tx: Tx, me: Principal, product_id: str) -> ProductOut:
    """Take a product off sale."""
    merchant_id = merchant_of(me)
    return await products.set_status(
        tx, merchant_id, products.own_product(merchant_id, product_id), "delisted"
    )


@dataclass
class ImportForm:
    """Multipart form with the CSV."""

    file: UploadFile


@post("/products/import", opt=_WRITE, status_code=200)
async def import_products(
    tx: Tx, me: Principal, data: Annotated[ImportForm, Body(media_type=RequestEncodingType.MULTI_PART)]
) -> ImportReport:
    """Take products from a CSV in Shopify's format, at most 20 MB; bad rows are refused one by one."""
    content = await data.file.read(MAX_BYTES + 1)
    return await transfer.import_csv(tx, merchant_of(me), content)


@get("/products/export", opt=_READ, media_type="text/csv")
async def export_products(tx: Tx, me: Principal) -> Response[bytes]:
    """All products of the shop as CSV in Shopify's format."""
    content = await transfer.export_csv(tx, merchant_of(me))
    headers = {"Content-Disposition": 'attachment; filename="products.csv"'}
    return Response(content, media_type="text/csv", headers=headers)


@get("/categories", opt=_READ)
async def list_shop_categories(tx: Tx, me: Principal) -> CategoryTree:
    """The shop's own categories as a tree."""
    return await categories.shop_tree(tx, merchant_of(me))


@post("/categories", opt=_SHOP)
async def create_shop_category(tx: Tx, me: Principal, data: CategoryIn) -> CategoryOut:
    """Add a category of the shop's own."""
    return await categories.create_shop(tx, merchant_of(me), data)


@patch("/categories/{category_id:str}", opt=_SHOP)
async def patch_shop_category(tx: Tx, me: Principal, category_id: str, data: CategoryPatch) -> CategoryOut:
    """Rename a category of the shop's own or move it among its siblings."""
    merchant_id = merchant_of(me)
    return await categories.change_shop(
        tx, merchant_id, categories.own_category(merchant_id, category_id), data
    )


@delete("/categories/{category_id:str}", opt=_SHOP)
async def delete_shop_category(tx: Tx, me: Principal, category_id: str) -> None:
    """Remove a category of the shop's own that nothing is in."""
    merchant_id = merchant_of(me)
    await categories.delete_shop(tx, merchant_id, categories.own_category(merchant_id, category_id))


@get("/categories", opt=_MANAGE)
async def list_categories(tx: Tx) -> CategoryTree:
    """The market's categories as a tree."""
    return await categories.tree(tx)


@post("/categories", opt=_MANAGE)
async def create_category(tx: Tx, data: CategoryIn) -> CategoryOut:
    """Add a category of the market."""
    return await categories.create(tx, data)


@patch("/categories/{category_id:str}", opt=_MANAGE)
async def patch_category(tx: Tx, category_id: str, data: CategoryPatch) -> CategoryOut:
    """Rename a category of the market or move it among its siblings."""
    return await categories.change(tx, parse_ref(category_id), data)


@delete("/categories/{category_id:str}", opt=_MANAGE)
async def delete_category(tx: Tx, category_id: str) -> None:
    """Remove a category of the market that nothing is in."""
    await categories.delete(tx, parse_ref(category_id))


shop_routes = [browse_categories, browse_products, browse_product]
merchant_routes = [
    list_products, create_product, get_product, patch_product, list_product, delist_product, import_products,
    export_products, list_shop_categories, create_shop_category, patch_shop_category, delete_shop_category,
]  # fmt: skip
platform_routes = [list_categories, create_category, patch_category, delete_category]
