"""What the cells of Shopify's product CSV mean: prices, weights, quantities, states, tags, handles."""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from core.catalog.shopify_table import Row
from core.kit.html import safe_image, sanitise
from core.kit.money import parse_yuan

Status = Literal["listed", "delisted", "draft"]

MAX_PRICE = 10_000_000_00
MAX_WEIGHT_G = 10_000_000
MAX_ON_HAND = 1_000_000_000
MAX_LINE = 255
MAX_DESCRIPTION = 100_000

_GRAMS = {
    "g": Decimal(1),
    "kg": Decimal(1000),
    "lb": Decimal("453.59237"),
    "oz": Decimal("28.349523125"),
}
_NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{0,15})?", re.ASCII)
_TRUE = {"true", "1", "yes", "y", "是"}
_FALSE = {"false", "0", "no", "n", "否"}
# Shopify's archived and unlisted products exist, but nobody finds them in a shop: as our delisted ones.
_HIDDEN = {"archived", "unlisted"}


class BadCell(Exception):
    """A cell that cannot be taken; becomes the Refusal of its row."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def handle(row: Row) -> str:
    """Small letters and dashes for blanks, as Shopify makes it; "" if the row has none."""
    return "-".join(row.get("Handle").lower().split())


def line_of_text(row: Row, column: str) -> str:
    """A short cell on one line; raises BadCell if it has more than 255 characters."""
    text = row.line_of_text(column)
    if len(text) > MAX_LINE:
        raise BadCell("too_long", f"{column} has more than {MAX_LINE} characters")
    return text


def title(row: Row) -> str:
    text = line_of_text(row, "Title")
    if not text:
        raise BadCell("no_title", "the first row of a handle needs a Title")
    return text


def description(row: Row) -> str:
    """The body as safe HTML. Its bound keeps it below what the csv module takes as one cell."""
    html = sanitise(row.get("Body (HTML)"))
    if len(html) > MAX_DESCRIPTION:
        raise BadCell("too_long", f"Body (HTML) has more than {MAX_DESCRIPTION} characters")
    return html


def tags(row: Row) -> tuple[str, ...]:
    """Separated by commas, also Chinese ones; the first of two equal tags counts."""
    names = (" ".join(tag.split()) for tag in re.split("[,，]", row.get("Tags")))
    distinct = tuple(dict.fromkeys(name for name in names if name))
    if any(len(tag) > MAX_LINE for tag in distinct):
        raise BadCell("too_long", f"a tag has more than {MAX_LINE} characters")
    return distinct


def status(row: Row) -> Status:
    """From Status (active if empty) and Published (true if empty)."""
    state = row.get("Status").casefold()
    if state == "draft":
        return "draft"
    if state in _HIDDEN:
        return "delisted"
    if state not in {"", "active"}:
        raise BadCell("bad_status", f"Status {state[:40]!r} is none of active, draft, archived, unlisted")
    published = row.get("Published")
    if published and boolean(published) is None:
        raise BadCell("bad_published", f"Published {published[:40]!r} is neither true nor false")
    return "delisted" if boolean(published) is False else "listed"


def boolean(text: str) -> bool | None:
    """None for anything that is neither yes nor no."""
    word = text.casefold()
    return True if word in _TRUE else False if word in _FALSE else None


def price(row: Row) -> int:
    """Fen; raises BadCell if empty."""
    fen = _fen(row, "Variant Price")
    if fen is None:
        raise BadCell("no_price", "the row has no Variant Price")
    return fen


def list_price(row: Row, sale_price: int) -> int | None:
    """Fen, if higher than the price.

    A price to compare with that is not higher promises no saving; showing it struck through would mislead.
    """
    fen = _fen(row, "Variant Compare At Price")
    return fen if fen is not None and fen > sale_price else None


def _fen(row: Row, column: str) -> int | None:
    text = row.get(column)
    if not text:
        return None
    try:
        fen = parse_yuan(text)
    except ValueError as error:
        raise BadCell("bad_price", f"{column}: {error}") from error
    if fen < 0:
        raise BadCell("bad_price", f"{column} is negative")
    if fen > MAX_PRICE:
        raise BadCell("price_too_large", f"{column} is above {MAX_PRICE // 100} yuan")
    return fen


def weight_g(row: Row) -> int:
    """Whole grams, half rounds up; 0 if unknown.

    Variant Grams is in grams whatever Variant Weight Unit says: that one is only for display. It counts for
    the column Variant Weight, which some tools write instead.
    """
    grams = _number(row, "Variant Grams", "bad_weight")
    if grams is None:
        weight = _number(row, "Variant Weight", "bad_weight")
        if weight is None:
            return 0
        unit = row.get("Variant Weight Unit").casefold() or "g"
        if unit not in _GRAMS:
            raise BadCell("bad_weight", f"Variant Weight Unit {unit[:40]!r} is none of g, kg, lb, oz")
        grams = weight * _GRAMS[unit]
    if not 0 <= grams <= MAX_WEIGHT_G:
        raise BadCell("bad_weight", f"the weight is not between 0 and {MAX_WEIGHT_G} g")
    return int(grams.quantize(Decimal(1), ROUND_HALF_UP))


def on_hand(row: Row) -> int:
    """Whole pieces; 0 if empty, and if negative: Shopify counts oversold pieces so, and there are none."""
    quantity = _number(row, "Variant Inventory Qty", "bad_quantity")
    if quantity is None:
        return 0
    if quantity != quantity.to_integral_value() or quantity > MAX_ON_HAND:
        raise BadCell("bad_quantity", f"Variant Inventory Qty is not a whole number up to {MAX_ON_HAND}")
    return max(0, int(quantity))


def _number(row: Row, column: str, code: str) -> Decimal | None:
    text = row.get(column)
    if not text:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise BadCell(code, f"{column} {text[:40]!r} is not a number")
    return Decimal(text)


def identifier(row: Row, column: str) -> str | None:
    """A SKU code or barcode.

    Shopify writes an apostrophe before one of digits only, to keep spreadsheets from eating leading zeros.
    """
    text = line_of_text(row, column)
    return (text[1:] if text.startswith("'") and text[1:].isdecimal() else text) or None


def image(row: Row, column: str) -> str | None:
    """The address, None if empty; raises BadCell if it is neither https nor below /static/."""
    text = row.get(column)
    if not text:
        return None
    url = safe_image(text)
    if url is None:
        raise BadCell("bad_image", f"{column} must be an https:// address or begin with /static/")
    return url


def position(row: Row) -> int | None:
    text = row.get("Image Position")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None
