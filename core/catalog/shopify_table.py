"""The table inside Shopify's product CSV: encoding, column names, rows."""

import csv
import io
from collections.abc import Iterator

from msgspec import Struct

from core.kit.text import clean

MAX_BYTES = 20 * 1024 * 1024
MAX_ROWS = 50_000
MAX_COLUMNS = 1_000

REQUIRED = ("Handle", "Title", "Variant Price")
BASE_COLUMNS = (
    *("Handle", "Title", "Body (HTML)", "Vendor", "Product Category", "Type", "Tags", "Published"),
    *("Option1 Name", "Option1 Value", "Option2 Name", "Option2 Value", "Option3 Name", "Option3 Value"),
    *("Variant SKU", "Variant Grams", "Variant Inventory Tracker", "Variant Inventory Qty"),
    *("Variant Inventory Policy", "Variant Fulfillment Service", "Variant Price"),
    *("Variant Compare At Price", "Variant Requires Shipping", "Variant Taxable", "Variant Barcode"),
    *("Image Src", "Image Position", "Image Alt Text", "Gift Card", "SEO Title", "SEO Description"),
    *("Variant Image", "Variant Weight Unit", "Variant Tax Code", "Cost per item", "Status"),
)

# Columns that are known, but written only if a product has them.
_OPTIONAL_COLUMNS = (
    *("Option1 Linked To", "Option2 Linked To", "Option3 Linked To", "Variant Weight"),
    *("Unit Price Total Measure", "Unit Price Total Measure Unit"),
    *("Unit Price Base Measure", "Unit Price Base Measure Unit"),
    *("Included / International", "Price / International", "Compare At Price / International"),
    *("Google Shopping / Google Product Category", "Google Shopping / Gender", "Google Shopping / Age Group"),
    *("Google Shopping / MPN", "Google Shopping / AdWords Grouping", "Google Shopping / AdWords Labels"),
    *("Google Shopping / Condition", "Google Shopping / Custom Product", "Google Shopping / Custom Label 0"),
    *("Google Shopping / Custom Label 1", "Google Shopping / Custom Label 2"),
    *("Google Shopping / Custom Label 3", "Google Shopping / Custom Label 4"),
)

# The names of Shopify's 2025 template, and a few of older exports, for the classic ones.
_ALIASES = {
    "url handle": "Handle",
    "description": "Body (HTML)",
    "body html": "Body (HTML)",
    "product type": "Type",
    "custom product type": "Type",
    "standardized product type": "Product Category",
    "published on online store": "Published",
    "sku": "Variant SKU",
    "barcode": "Variant Barcode",
    "barcodes": "Variant Barcode",
    "variant barcodes": "Variant Barcode",
    "price": "Variant Price",
    "compare-at price": "Variant Compare At Price",
    "compare at price": "Variant Compare At Price",
    "compare-at price / international": "Compare At Price / International",
    "charge tax": "Variant Taxable",
    "tax code": "Variant Tax Code",
    "inventory tracker": "Variant Inventory Tracker",
    "inventory quantity": "Variant Inventory Qty",
    "variant inventory quantity": "Variant Inventory Qty",
    "continue selling when out of stock": "Variant Inventory Policy",
    "weight value (grams)": "Variant Grams",
    "weight unit for display": "Variant Weight Unit",
    "requires shipping": "Variant Requires Shipping",
    "fulfillment service": "Variant Fulfillment Service",
    "product image url": "Image Src",
    "variant image url": "Variant Image",
    "google shopping / manufacturer part number (mpn)": "Google Shopping / MPN",
    "google shopping / ad group name": "Google Shopping / AdWords Grouping",
    "google shopping / ads labels": "Google Shopping / AdWords Labels",
}
_CANONICAL = {name.casefold(): name for name in (*BASE_COLUMNS, *_OPTIONAL_COLUMNS)} | _ALIASES


class CsvError(Exception):
    """The file as a whole cannot be read; nothing of it was taken.

    `code`: too_large, too_many_rows, empty, encoding, malformed, missing_columns,
    too_many_columns.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Refusal(Struct, frozen=True):
    """Something that was not taken: the line of the file (from 1, the header's) on which its row begins."""

    line: int
    code: str
    detail: str


class Row(Struct, frozen=True):
    """The cells of one row that are not empty, trimmed, by classic column name."""

    line: int
    cells: dict[str, str]

    def get(self, column: str) -> str:
        return self.cells.get(column, "")

    def line_of_text(self, column: str) -> str:
        """The cell with every run of white space made one blank."""
        return " ".join(self.get(column).split())


class Table(Struct, frozen=True):
    rows: tuple[Row, ...]
    refused: tuple[Refusal, ...]


def canonical(header: str) -> str:
    """The classic name of a column, whatever its case and naming; an unknown column keeps its name."""
    name = " ".join(clean(header).split())
    return _CANONICAL.get(name.casefold(), name)


def read_table(data: bytes) -> Table:
    """The rows of `data`, blank ones left out, and those with more cells than the header has.

    Raises CsvError.
    """
    if len(data) > MAX_BYTES:
        raise CsvError("too_large", f"the file has more than {MAX_BYTES // 1024 // 1024} MB")
    records = _records(_decode(data))
    header = next(records, None)
    if header is None:
        raise CsvError("empty", "the file has no header line")
    columns = _columns(header[1])
    rows: list[Row] = []
    refused: list[Refusal] = []
    for count, (line, values) in enumerate(records, 1):
        if count > MAX_ROWS:
            raise CsvError("too_many_rows", f"the file has more than {MAX_ROWS} rows")
        if any(value.strip() for value in values[len(columns) :]):
            # Cells that moved would land in wrong columns, a barcode in the price: better none than those.
            detail = f"the row has {len(values)} cells, the header only {len(columns)}"
            refused.append(Refusal(line, "too_many_cells", detail))
            continue
        if cells := _cells(columns, values):
            rows.append(Row(line, cells))
    return Table(tuple(rows), tuple(refused))


def _decode(data: bytes) -> str:
    if b"\x00" in data:
        raise CsvError("encoding", "the file contains NUL bytes: save it as CSV in UTF-8, not UTF-16")
    # Excel in China saves CSV as GBK, of which GB18030 is the superset.
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise CsvError("encoding", "the file is neither UTF-8 nor GB18030")


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, with the line on which it begins.

    Strict, as Shopify is: after one quote that never ends, every later row would hide in a single cell.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for record in reader:
            if any(value.strip() for value in record):
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise CsvError("malformed", f"the row that begins on line {line} cannot be read: {error}") from error


def _columns(header: list[str]) -> list[str]:
    """The column of each position; "" for one without a name or named a second time, which is ignored."""
    if len(header) > MAX_COLUMNS:
        raise CsvError("too_many_columns", f"the header has more than {MAX_COLUMNS} columns")
    columns: list[str] = []
    for name in map(canonical, header):
        columns.append("" if name in columns else name)
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise CsvError("missing_columns", f"the header has no column {', '.join(missing)}")
    return columns


def _cells(columns: list[str], values: list[str]) -> dict[str, str]:
    pairs = zip(columns, values, strict=False)
    return {column: text for column, value in pairs if column and (text := clean(value).strip())}
