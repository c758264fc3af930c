"""Shopify's product CSV, in and out: bytes to structs and back. Pure.

One row is one SKU; the rows of a product share their Handle, and the first of them also carries what belongs
to the product. A row may carry an image of the product, or nothing but that. Read are the classic column
names and those of the 2025 template, in any case; written are the classic ones. Not kept: the alternative
texts of all images but the first.
"""

import csv
import io
from collections.abc import Iterable

from msgspec import Struct

from core.catalog import shopify_cells as cells
from core.catalog.shopify_cells import BadCell, Status
from core.catalog.shopify_table import BASE_COLUMNS, CsvError, Refusal, Row, read_table
from core.kit.money import format_yuan

__all__ = [
    "CsvError",
    "ImportedProduct",
    "ImportedSku",
    "ParsedCatalog",
    "Refusal",
    "Status",
    "parse",
    "render",
]

_READ = {
    *("Handle", "Title", "Body (HTML)", "Vendor", "Type", "Tags", "Published", "Status"),
    *(f"Option{number} {part}" for number in (1, 2, 3) for part in ("Name", "Value")),
    *("Variant SKU", "Variant Grams", "Variant Weight", "Variant Inventory Tracker", "Variant Inventory Qty"),
    *("Variant Price", "Variant Compare At Price", "Variant Barcode", "Variant Image"),
    *("Image Src", "Image Position", "Image Alt Text"),
}
_SKU_PREFIXES = ("Variant ", "Unit Price ", "Price / ", "Compare At Price / ", "Cost per item")
# What makes a row a SKU; other tools fill the remaining Variant columns on rows that only add an image.
_MARKS_OF_SKU = (
    *("Variant Price", "Variant SKU", "Variant Barcode"),
    *("Option1 Value", "Option2 Value", "Option3 Value"),
)
_DEFAULT_OPTION = "Title"
_DEFAULT_TITLE = "Default Title"
_POLICY = "Variant Inventory Policy"
_TRACKER = "Variant Inventory Tracker"
_OUR_TRACKER = "shopify"


class ImportedSku(Struct, frozen=True):
    """`specs` go with the product's `spec_names`; prices in fen; `on_hand` also counts if not `tracked`.

    `extra`: the other columns about the SKU that are not empty, by classic name, for the export.
    """

    line: int
    code: str | None
    specs: tuple[str, ...]
    price: int
    list_price: int | None
    weight_g: int
    on_hand: int
    barcode: str | None
    image: str | None
    tracked: bool
    extra: dict[str, str]


class ImportedProduct(Struct, frozen=True):
    """A product with at least one SKU; `description` is sanitised HTML, `spec_names` 0 to 3 names.

    `extra`: the other columns of the first row that are not empty, by classic name, for the export.
    """

    line: int
    handle: str
    title: str
    description: str
    vendor: str
    product_type: str
    tags: tuple[str, ...]
    status: Status
    images: tuple[str, ...]
    spec_names: tuple[str, ...]
    skus: tuple[ImportedSku, ...]
    extra: dict[str, str]


class ParsedCatalog(Struct, frozen=True):
    """Products in the order of their first rows, refusals in the order of lines."""

    products: tuple[ImportedProduct, ...]
    refused: tuple[Refusal, ...]


def parse(data: bytes) -> ParsedCatalog:
    """Reads a file; what is bad is refused row by row, the rest is taken.

    Rows of one handle belong together wherever they stand, as in Shopify; only the first one's product
    columns count. A bad image is refused, but its row is not. Raises CsvError if there is no reading the
    file at all.
    """
    table = read_table(data)
    refused = list(table.refused)
    by_handle: dict[str, list[Row]] = {}
    for row in table.rows:
        handle = cells.handle(row)
        if not handle:
            refused.append(Refusal(row.line, "no_handle", "the row has no Handle"))
        elif len(handle) > cells.MAX_LINE:
            refused.append(Refusal(row.line, "too_long", f"Handle has more than {cells.MAX_LINE} characters"))
        else:
            by_handle.setdefault(handle, []).append(row)
    found = [_product(handle, rows, refused) for handle, rows in by_handle.items()]
    products = tuple(product for product in found if product is not None)
    return ParsedCatalog(products, tuple(sorted(refused, key=lambda refusal: refusal.line)))


def _product(handle: str, rows: list[Row], refused: list[Refusal]) -> ImportedProduct | None:
    first = rows[0]
    try:
        options = _options(rows)
        title, description = cells.title(first), cells.description(first)
        vendor, product_type = cells.line_of_text(first, "Vendor"), cells.line_of_text(first, "Type")
        tags, status = cells.tags(first), cells.status(first)
    except BadCell as bad:
        refused.append(Refusal(first.line, bad.code, bad.detail))
        detail = f"its product {handle!r} was refused on line {first.line}"
        refused.extend(Refusal(row.line, "product_refused", detail) for row in rows[1:])
        return None
    images, alt = _images(rows, refused)
    skus = _skus(rows, options, refused)
    if not skus:
        refused.append(Refusal(first.line, "no_sku", f"no SKU is left of the product {handle!r}"))
        return None
    extra = _extra(first, of_sku=False) | ({"Image Alt Text": alt} if alt else {})
    names = tuple(options.values())
    return ImportedProduct(
        first.line, handle, title, description, vendor, product_type, tags, status, images, names, skus, extra
    )


def _options(rows: list[Row]) -> dict[int, str]:
    """Option number to name. A product without a choice has the option Title with Default Title, or none."""
    first = rows[0]
    names = {number: cells.line_of_text(first, f"Option{number} Name") for number in (1, 2, 3)}
    options = {number: name for number, name in names.items() if name}
    if len({name.casefold() for name in options.values()}) < len(options):
        raise BadCell("duplicate_option_name", "two options have the same name")
    is_title_only = len(options) == 1 and names[1].casefold() == _DEFAULT_OPTION.casefold()
    return {} if is_title_only and _is_default(rows) else options


def _is_default(rows: list[Row]) -> bool:
    values = {row.line_of_text("Option1 Value").casefold() for row in rows}
    return values <= {"", _DEFAULT_TITLE.casefold()}


def _image(row: Row, column: str, refused: list[Refusal]) -> str | None:
    try:
        return cells.image(row, column)
    except BadCell as bad:
        refused.append(Refusal(row.line, bad.code, f"{bad.detail}; the image was left out"))
        return None


def _images(rows: list[Row], refused: list[Refusal]) -> tuple[tuple[str, ...], str]:
    """The images by Image Position (those without one last, as they stand), and the first one's text."""
    found: list[tuple[float, str, str]] = []
    for row in rows:
        url = _image(row, "Image Src", refused)
        if url is not None:
            rank = cells.position(row)
            found.append((float("inf") if rank is None else rank, url, row.get("Image Alt Text")))
    found.sort(key=lambda image: image[0])
    images = tuple(dict.fromkeys(url for _, url, _ in found))
    return images, found[0][2] if found else ""


def _skus(rows: list[Row], options: dict[int, str], refused: list[Refusal]) -> tuple[ImportedSku, ...]:
    skus: dict[tuple[str, ...], ImportedSku] = {}
    for row in rows:
        if not any(row.get(column) for column in _MARKS_OF_SKU):
            if not row.get("Image Src"):
                refused.append(Refusal(row.line, "empty_row", "the row has neither a SKU nor an image"))
            continue
        try:
            sku = _sku(row, options, refused)
        except BadCell as bad:
            refused.append(Refusal(row.line, bad.code, bad.detail))
            continue
        # Two values that differ in case only are one to a buyer, and to Shopify.
        key = tuple(value.casefold() for value in sku.specs)
        if key in skus:
            where = f"{' / '.join(sku.specs) or 'a product without options'} on line {skus[key].line}"
            refused.append(Refusal(row.line, "duplicate_option", f"there is already a SKU for {where}"))
        else:
            skus[key] = sku
    return tuple(skus.values())


def _sku(row: Row, options: dict[int, str], refused: list[Refusal]) -> ImportedSku:
    specs = _specs(row, options)
    price = cells.price(row)
    tracker = row.get(_TRACKER)
    extra = _extra(row, of_sku=True)
    if tracker and tracker.casefold() != _OUR_TRACKER:
        extra[_TRACKER] = tracker
    return ImportedSku(
        line=row.line,
        code=cells.identifier(row, "Variant SKU"),
        specs=specs,
        price=price,
        list_price=cells.list_price(row, price),
        weight_g=cells.weight_g(row),
        on_hand=cells.on_hand(row),
        barcode=cells.identifier(row, "Variant Barcode"),
        image=_image(row, "Variant Image", refused),
        tracked=bool(tracker),
        extra=extra,
    )


def _specs(row: Row, options: dict[int, str]) -> tuple[str, ...]:
    values = {number: cells.line_of_text(row, f"Option{number} Value") for number in (1, 2, 3)}
    for number, value in values.items():
        if number in options and not value:
            raise BadCell("no_option", f"the row has no value for {options[number]!r}")
        if value and number not in options and value.casefold() != _DEFAULT_TITLE.casefold():
            raise BadCell("option_without_name", f"the first row gives Option{number} no name")
    return tuple(values[number] for number in options)


def _extra(row: Row, *, of_sku: bool) -> dict[str, str]:
    extra = {
        column: value
        for column, value in row.cells.items()
        if column not in _READ and column.startswith(_SKU_PREFIXES) == of_sku
    }
    # The 2025 template asks "Continue selling when out of stock" instead of for a policy.
    answer = cells.boolean(extra.get(_POLICY, ""))
    if answer is not None:
        extra[_POLICY] = "continue" if answer else "deny"
    return extra


def render(products: Iterable[ImportedProduct]) -> bytes:
    """Writes products in the classic format, UTF-8 without BOM; `parse` reads the same back but for lines.

    Columns that only `extra` knows come last. Values are written as they are: one that begins with =, +, -
    or @ runs as a formula if the file is opened in a spreadsheet, and a sign before it, the usual cure, would
    come back as part of the title or code. Where strangers' values are shown in spreadsheets, import the file
    as text.
    """
    rows = [cells_of_row for product in products for cells_of_row in _rows(product)]
    columns = dict.fromkeys(BASE_COLUMNS) | dict.fromkeys(column for row in rows for column in row)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _rows(product: ImportedProduct) -> list[dict[str, str]]:
    """One row per SKU, then as many more as there are images left."""
    rows: list[dict[str, str]] = []
    for index in range(max(len(product.skus), len(product.images))):
        row = {"Handle": product.handle}
        if index == 0:
            row |= _product_cells(product)
        if index < len(product.skus):
            row |= _sku_cells(product.skus[index])
        if index < len(product.images):
            row |= {"Image Src": product.images[index], "Image Position": str(index + 1)}
        rows.append(row)
    return rows


def _product_cells(product: ImportedProduct) -> dict[str, str]:
    names = product.spec_names or (_DEFAULT_OPTION,)
    return product.extra | {
        "Title": product.title,
        "Body (HTML)": product.description,
        "Vendor": product.vendor,
        "Type": product.product_type,
        "Tags": ", ".join(product.tags),
        "Published": "true" if product.status == "listed" else "false",
        "Status": "draft" if product.status == "draft" else "active",
        **{f"Option{number} Name": name for number, name in enumerate(names, 1)},
    }


def _sku_cells(sku: ImportedSku) -> dict[str, str]:
    values = sku.specs or (_DEFAULT_TITLE,)
    row = sku.extra | {
        **{f"Option{number} Value": value for number, value in enumerate(values, 1)},
        "Variant SKU": sku.code or "",
        "Variant Grams": str(sku.weight_g),
        "Variant Inventory Qty": str(sku.on_hand),
        "Variant Price": format_yuan(sku.price),
        "Variant Compare At Price": "" if sku.list_price is None else format_yuan(sku.list_price),
        "Variant Barcode": sku.barcode or "",
        "Variant Image": sku.image or "",
    }
    return row | {_TRACKER: sku.extra.get(_TRACKER, _OUR_TRACKER) if sku.tracked else ""}
