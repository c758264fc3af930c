"""Products in and out as Shopify's CSV. A file is taken in a handful of statements, however long it is.

A product of the file replaces the shop's product of the same handle: its SKUs are matched by specs, those that the
file has not are retired. Stock moves by the difference, so that what buyers have reserved stays theirs.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct

from core import hookspecs
from core.catalog import publish, repository, shopify, stocking
from core.catalog import shopify_cells as cells
from core.catalog.products import StoredSku, stored_skus, with_extra
from core.catalog.rows import MAX_IMAGES, MAX_SKUS, ProductRow, SkuRow
from core.catalog.schemas import ImportReport, RefusedRow
from core.catalog.shopify import CsvError, ImportedProduct, ImportedSku
from core.db.tx import Tx
from core.kit.errors import Conflict, Invalid, TooLarge
from core.kit.ids import new_id
from core.types.events import ProductsEvent

_SHIPPING = "Variant Requires Shipping"
_EVENT_BATCH = 500


class _Plan(Struct):
    """What a file comes to."""

    products: list[ProductRow]
    skus: list[SkuRow]
    stock: list[tuple[UUID, int]]
    lines: dict[UUID, int]
    refused: list[RefusedRow]


async def import_csv(tx: Tx, merchant_id: UUID, data: bytes) -> ImportReport:
    """Take a file. Raises `Invalid` with the code of what makes it unreadable as a whole, `TooLarge`, and
    `Conflict` `busy` if another import of the same products came first."""
    try:
        parsed = await asyncio.to_thread(shopify.parse, data)
    except CsvError as error:
        kind = TooLarge if error.code == "too_large" else Invalid
        raise kind(f"The file cannot be read: {error.detail}.", code=error.code) from None
    refused = [RefusedRow(r.line, r.code, r.detail) for r in parsed.refused]
    plan = await _plan(tx, merchant_id, parsed.products, refused)
    if plan.products:
        await _store(tx, merchant_id, plan)
    plan.refused.sort(key=lambda row: row.line)
    return ImportReport(len(plan.products), len(plan.skus), plan.refused)


async def _plan(
    tx: Tx, merchant_id: UUID, products: Sequence[ImportedProduct], refused: list[RefusedRow]
) -> _Plan:
    known = {
        row["handle"]: row
        for row in await repository.lock_handles(tx, merchant_id, [p.handle for p in products])
    }
    old_skus: dict[UUID, dict[tuple[str, ...], dict[str, Any]]] = {}
    for row in await repository.skus_of(tx, merchant_id, [row["id"] for row in known.values()]):
        old_skus.setdefault(row["product_id"], {})[tuple(row["specs"])] = dict(row)
    categories = await repository.leaves_by_name(tx, list({p.product_type.lower() for p in products}))
    plan = _Plan([], [], [], {}, refused)
    for product in products:
        before = known.get(product.handle)
        row = _product_row(product, before, categories.get(product.product_type.lower()), refused)
        plan.products.append(row)
        old = old_skus.get(row.id, {})
        for position, sku in enumerate(_within(product.skus, refused)):
            stored = _sku_row(sku, row.id, position, old.get(sku.specs))
            plan.skus.append(stored)
            plan.stock.append((stored.id, sku.on_hand))
            plan.lines[stored.id] = sku.line
    return plan


def _within(skus: Sequence[ImportedSku], refused: list[RefusedRow]) -> Sequence[ImportedSku]:
    detail = f"a product has at most {MAX_SKUS} SKUs"
    refused += [RefusedRow(sku.line, "too_many_skus", detail) for sku in skus[MAX_SKUS:]]
    return skus[:MAX_SKUS]


def _product_row(
    product: ImportedProduct,
    before: asyncpg.Record | None,
    category_id: UUID | None,
    refused: list[RefusedRow],
) -> ProductRow:
    if len(product.images) > MAX_IMAGES:
        detail = f"a product has at most {MAX_IMAGES} images; the first ones were taken"
        refused.append(RefusedRow(product.line, "too_many_images", detail))
    # A type that names no category of the market leaves the product where its shop had put it.
    kept = before["category_id"] if before is not None else None
    return ProductRow(
        id=before["id"] if before is not None else new_id(),
        handle=product.handle,
        title=product.title,
        description=product.description,
        category_id=category_id or kept,
        shop_category_ids=before["shop_category_ids"] if before is not None else [],
        images=product.images[:MAX_IMAGES],
        spec_names=product.spec_names,
        vendor=product.vendor,
        product_type=product.product_type,
        tags=product.tags,
        extra=product.extra,
        status=product.status,
    )


def _sku_row(sku: ImportedSku, product_id: UUID, position: int, old: dict[str, Any] | None) -> SkuRow:
    return SkuRow(
        id=old["id"] if old is not None else new_id(),
        product_id=product_id,
        code=sku.code,
        specs=sku.specs,
        price=sku.price,
        list_price=sku.list_price,
        weight_g=sku.weight_g,
        volume_cm3=old["volume_cm3"] if old is not None else 0,
        requires_shipping=cells.boolean(sku.extra.get(_SHIPPING, "")) is not False,
        tracked=sku.tracked,
        barcode=sku.barcode,
        image_url=sku.image,
        extra=sku.extra,
        position=position,
        min_quantity=old["min_quantity"] if old is not None else 1,
        max_quantity=old["max_quantity"] if old is not None else None,
    )


async def _store(tx: Tx, merchant_id: UUID, plan: _Plan) -> None:
    try:
        await repository.write(tx, merchant_id, plan.products, plan.skus, replace=True)
    except asyncpg.UniqueViolationError as error:
        raise Conflict("Another change of the same products came first; try again.", code="busy") from error
    short = await stocking.set_on_hand(tx, merchant_id, plan.stock, "import")
    detail = "buyers have reserved more than the file counts; the stock was set to what is reserved"
    plan.refused += [RefusedRow(plan.lines[sku_id], "stock_reserved", detail) for sku_id in short]
    await publish.publish_texts(tx, merchant_id, {row.id: row.searchable for row in plan.products})
    keys = [row.id for row in plan.products]
    for start in range(0, len(keys), _EVENT_BATCH):
        batch = tuple(keys[start : start + _EVENT_BATCH])
        tx.emit(hookspecs.product_changed, ProductsEvent(merchant_id, batch))


async def export_csv(tx: Tx, merchant_id: UUID) -> bytes:
    """All products of the shop with their active SKUs, in the order they were created. `import_csv` reads it back."""
    found = await repository.everything(tx, merchant_id)
    return await asyncio.to_thread(lambda: shopify.render([_exported(row) for row in found]))


def _exported(row: asyncpg.Record) -> ImportedProduct:
    product = with_extra(row)
    return ImportedProduct(
        line=0,
        handle=product["handle"],
        title=product["title"],
        description=product["description"],
        vendor=product["vendor"],
        product_type=product["product_type"],
        tags=tuple(product["tags"]),
        status=product["status"],
        images=tuple(product["images"]),
        spec_names=tuple(product["spec_names"]),
        skus=tuple(_exported_sku(sku) for sku in stored_skus(row)),
        extra=product["extra"],
    )


def _exported_sku(sku: StoredSku) -> ImportedSku:
    extra = sku.extra
    # The file's own word for it is kept unless the shop has changed its mind since.
    if (
        cells.boolean(extra.get(_SHIPPING, "")) is not False
    ) != sku.requires_shipping or _SHIPPING not in extra:
        extra = extra | {_SHIPPING: "true" if sku.requires_shipping else "false"}
    return ImportedSku(
        line=0,
        code=sku.code,
        specs=tuple(sku.specs),
        price=sku.price,
        list_price=sku.list_price,
        weight_g=sku.weight_g,
        on_hand=sku.on_hand,
        barcode=sku.barcode,
        image=sku.image_url,
        tracked=sku.tracked,
        extra=extra,
    )
