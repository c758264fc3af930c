"""A merchant's products: create, change, list, delist."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from msgspec import UNSET

from core import hookspecs
from core.catalog import publish, repository, rows, stocking
from core.catalog.rows import ProductRow, SkuRow
from core.catalog.schemas import ProductIn, ProductOut, ProductPatch, SkuIn, SkuOut
from core.db.tx import Tx
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.html import sanitise
from core.kit.ids import new_id, parse_pair, parse_ref, ref
from core.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from core.types.events import ProductsEvent

STATUSES = ("draft", "listed", "delisted")


async def create(tx: Tx, merchant_id: UUID, data: ProductIn) -> ProductOut:
    """A new product with its SKUs and their stock. Raises `Invalid` for what does not fit together."""
    product_id = new_id()
    names = rows.checked_names(data.spec_names)
    specs = rows.checked_specs(data.skus, names)
    title = rows.required_line(data.title, "title")
    handle = rows.handle_of(title, product_id)
    if not await repository.handle_free(tx, merchant_id, handle):
        handle = f"{handle}-{product_id.hex[-8:]}"
    product = ProductRow(
        id=product_id,
        handle=handle,
        title=title,
        description=sanitise(data.description),
        category_id=_category(data.category_id),
        shop_category_ids=_shop_categories(merchant_id, data.shop_category_ids),
        images=rows.checked_images(data.images),
        spec_names=names,
        vendor=rows.line(data.vendor),
        product_type=rows.line(data.product_type),
        tags=rows.distinct_lines(data.tags),
        extra={},
        status=data.status,
    )
    await _check_references(tx, merchant_id, product)
    skus = [rows.merged_sku(sku, specs[n], product_id, n, None) for n, sku in enumerate(data.skus)]
    await _store(tx, merchant_id, product, skus, replace=False)
    await stocking.set_on_hand(
        tx,
        merchant_id,
        [(row.id, sku.on_hand or 0) for row, sku in zip(skus, data.skus, strict=True)],
        "created",
    )
    return await shown(tx, merchant_id, product_id)


async def change(tx: Tx, merchant_id: UUID, product_id: UUID, patch: ProductPatch) -> ProductOut:
    """Change a product; what the patch leaves out stays, but a list of SKUs is taken as the whole.

    Raises `NotFound`, `Invalid`, and `Conflict` `out_of_stock` if less is to be on hand than buyers have reserved.
    """
    stored = await repository.lock(tx, merchant_id, product_id)
    if stored is None:
        raise unknown()
    product = _patched(merchant_id, stored, patch)
    await _check_references(tx, merchant_id, product)
    if patch.skus is UNSET:
        if len(product.spec_names) != len(stored["spec_names"]):
            raise Invalid(
                "Another number of specs needs new SKUs.", _field("skus", "required", "Send skus too.")
            )
        await _store(tx, merchant_id, product, [], replace=False)
    else:
        await _replace_skus(tx, merchant_id, product, patch.skus)
    return await shown(tx, merchant_id, product_id)


async def _replace_skus(tx: Tx, merchant_id: UUID, product: ProductRow, sent: Sequence[SkuIn]) -> None:
    specs = rows.checked_specs(sent, product.spec_names)
    old = _matched(await repository.skus_of(tx, merchant_id, [product.id]), sent, specs, merchant_id)
    skus = [rows.merged_sku(sku, specs[n], product.id, n, old[n]) for n, sku in enumerate(sent)]
    await _store(tx, merchant_id, product, skus, replace=True)
    stock = [
        (row.id, sku.on_hand or 0)
        for row, sku, before in zip(skus, sent, old, strict=True)
        if sku.on_hand is not None or before is None
    ]
    short = await stocking.set_on_hand(tx, merchant_id, stock, "edited")
    if short:
        raise Conflict(
            "Buyers have reserved more of a SKU than is to be on hand.",
            code="out_of_stock",
            sku_ids=[ref(merchant_id, row.id) for row in skus if row.id in short],
        )


def _matched(
    stored: Sequence[asyncpg.Record],
    sent: Sequence[SkuIn],
    specs: Sequence[tuple[str, ...]],
    merchant_id: UUID,
) -> list[dict[str, Any] | None]:
    """The stored SKU that each sent one means: by id, else by equal specs unless another one claims it by id."""
    by_id = {row["id"]: with_extra(row) for row in stored}
    by_specs = {tuple(row["specs"]): row["id"] for row in stored}
    claimed: set[UUID] = set()
    errors: list[FieldError] = []
    for n, sku in enumerate(sent):
        if sku.id is None:
            continue
        key = _own(merchant_id, sku.id)
        if key is None or key not in by_id or key in claimed:
            errors.append(
                _field(f"skus[{n}].id", "unknown", "No SKU of this product has this id, or it is twice.")
            )
        else:
            claimed.add(key)
    if errors:
        raise Invalid("The list of SKUs names one that there is not.", *errors)
    found: list[dict[str, Any] | None] = []
    for sku, values in zip(sent, specs, strict=True):
        match = _own(merchant_id, sku.id) if sku.id is not None else by_specs.get(values)
        free = match is not None and (sku.id is not None or match not in claimed)
        found.append(by_id[match] if free and match is not None else None)
    return found


def with_extra(row: asyncpg.Record) -> dict[str, Any]:
    """A stored row with its `extra` read."""
    return dict(row) | {"extra": msgspec.json.decode(row["extra_text"])}


def _patched(merchant_id: UUID, stored: asyncpg.Record, patch: ProductPatch) -> ProductRow:
    old = with_extra(stored)
    fields: dict[str, Any] = {name: old[name] for name in ProductRow.__struct_fields__}
    if patch.title is not UNSET:
        fields["title"] = rows.required_line(patch.title, "title")
    if patch.description is not UNSET:
        fields["description"] = sanitise(patch.description)
    if patch.category_id is not UNSET:
        fields["category_id"] = _category(patch.category_id)
    if patch.shop_category_ids is not UNSET:
        fields["shop_category_ids"] = _shop_categories(merchant_id, patch.shop_category_ids)
    if patch.images is not UNSET:
        fields["images"] = rows.checked_images(patch.images)
    if patch.spec_names is not UNSET:
        fields["spec_names"] = rows.checked_names(patch.spec_names)
    if patch.tags is not UNSET:
        fields["tags"] = rows.distinct_lines(patch.tags)
    for name in ("vendor", "product_type"):
        value = getattr(patch, name)
        if value is not UNSET:
            fields[name] = rows.line(value)
    return ProductRow(**fields)


async def set_status(tx: Tx, merchant_id: UUID, product_id: UUID, status: str) -> ProductOut:
    """List or delist. Raises `NotFound`."""
    if not await repository.set_status(tx, merchant_id, product_id, status):
        raise unknown()
    await publish.publish(tx, merchant_id, [product_id])
    tx.emit(hookspecs.product_changed, ProductsEvent(merchant_id, (product_id,)))
    return await shown(tx, merchant_id, product_id)


async def shown(tx: Tx, merchant_id: UUID, product_id: UUID) -> ProductOut:
    """One product. Raises `NotFound`."""
    row = await repository.one(tx, merchant_id, product_id)
    if row is None:
        raise unknown()
    return _out(row)


async def listed(
    tx: Tx, merchant_id: UUID, status: str | None, query: str | None, cursor: str | None, limit: int
) -> Page[ProductOut]:
    """The merchant's products, newest first; `query` is a part of the title."""
    check_limit(limit)
    if status is not None and status not in STATUSES:
        raise Invalid("No such status.", _field("status", "unknown", f"Use one of {', '.join(STATUSES)}."))
    like = f"%{_escaped(rows.line(query[:100]))}%" if query and query.strip() else None
    before = decode_cursor(cursor, UUID) if cursor else None
    found = await repository.page(tx, merchant_id, status, like, before, limit + 1)
    following = encode_cursor(found[limit - 1]["id"]) if len(found) > limit else None
    return Page([_out(row) for row in found[:limit]], following)


async def _store(
    tx: Tx, merchant_id: UUID, product: ProductRow, skus: Sequence[SkuRow], *, replace: bool
) -> None:
    try:
        await repository.write(tx, merchant_id, [product], skus, replace=replace)
    except asyncpg.UniqueViolationError as error:
        raise Conflict("Another change of this product came first; try again.", code="busy") from error
    await publish.publish_texts(tx, merchant_id, {product.id: product.searchable})
    tx.emit(hookspecs.product_changed, ProductsEvent(merchant_id, (product.id,)))


async def _check_references(tx: Tx, merchant_id: UUID, product: ProductRow) -> None:
    if product.category_id is None and not product.shop_category_ids:
        return
    found, shops = await repository.references(
        tx, merchant_id, product.category_id, product.shop_category_ids
    )
    if product.category_id is not None and not found:
        raise Invalid(
            "No such category.", _field("category_id", "unknown", "Use an id of /api/shop/categories.")
        )
    if shops != len(product.shop_category_ids):
        detail = "Use ids of /api/merchant/categories."
        raise Invalid("No such category of the shop.", _field("shop_category_ids", "unknown", detail))


def _category(text: str | None) -> UUID | None:
    if text is None:
        return None
    try:
        return parse_ref(text)
    except NotFound:
        detail = "Use an id of /api/shop/categories."
        raise Invalid("No such category.", _field("category_id", "unknown", detail)) from None


def _shop_categories(merchant_id: UUID, texts: Sequence[str]) -> list[UUID]:
    found = [_own(merchant_id, text) for text in texts]
    if None in found:
        detail = "Use ids of /api/merchant/categories."
        raise Invalid("No such category of the shop.", _field("shop_category_ids", "unknown", detail))
    return list(dict.fromkeys(key for key in found if key is not None))


def _own(merchant_id: UUID, text: str) -> UUID | None:
    """The row in an opaque id of this merchant's; None for anything else."""
    try:
        owner, key = parse_pair(text)
    except NotFound:
        return None
    return key if owner == merchant_id else None


def own_product(merchant_id: UUID, text: str) -> UUID:
    """The product's id from the wire. Raises `NotFound`, also for another merchant's."""
    key = _own(merchant_id, text)
    if key is None:
        raise unknown()
    return key


def unknown() -> NotFound:
    """The answer to an id that names no product, or another merchant's."""
    return NotFound("There is no such product.")


def _field(field: str, code: str, detail: str) -> FieldError:
    return FieldError(field, code, detail)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


class StoredSku(msgspec.Struct, frozen=True):
    """A SKU as `repository` gives it inside JSON."""

    id: UUID
    code: str | None
    specs: list[str]
    price: int
    list_price: int | None
    weight_g: int
    volume_cm3: int
    barcode: str | None
    image_url: str | None
    requires_shipping: bool
    tracked: bool
    extra: dict[str, Any]
    min_quantity: int
    max_quantity: int | None
    on_hand: int
    reserved: int


def stored_skus(row: asyncpg.Record) -> list[StoredSku]:
    """The active SKUs in a product's row."""
    return msgspec.json.decode(row["skus"], type=list[StoredSku])


def _out(row: asyncpg.Record) -> ProductOut:
    merchant_id, names = row["merchant_id"], row["spec_names"]
    skus = [
        SkuOut(
            ref(merchant_id, s.id), s.code, dict(zip(names, s.specs, strict=False)), s.price, s.list_price,
            s.weight_g, s.volume_cm3, s.barcode, s.image_url, s.requires_shipping,
            s.on_hand, s.reserved, s.on_hand - s.reserved, s.min_quantity, s.max_quantity,
        )
        for s in stored_skus(row)
    ]  # fmt: skip
    return ProductOut(
        ref(merchant_id, row["id"]), row["handle"], row["title"], row["status"],
        ref(row["category_id"]) if row["category_id"] else None,
        [ref(merchant_id, key) for key in row["shop_category_ids"]],
        row["description"], row["images"], names, row["vendor"], row["product_type"], row["tags"], skus,
        row["created_at"], row["updated_at"],
    )  # fmt: skip
