"""Money in fen: exact spreading, rates and conversion. Integers only; no float ever comes near an amount."""

import re
from collections.abc import Sequence
from decimal import Decimal

BASIS_POINTS = 10_000

_YUAN = re.compile(r"([+-]?)(\d{1,13})?(?:\.(\d*))?", re.ASCII)
_MAX_DIGITS = 13


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Spreads `total` fen over `weights`; the shares sum to `total` exactly.

    Each share is the floor of its exact part; the fen left over go to the largest fractions, equal fractions
    in the order given (callers sort by their tie-break, such as SKU id, first). No share exceeds its weight
    while `total <= sum(weights)`, so a discount never takes a line below zero. If all weights are 0, the
    first element gets everything.

    Raises ValueError for a negative total or weight, and for something to spread over nothing.
    """
    if total < 0 or any(weight < 0 for weight in weights):
        raise ValueError("total and weights must not be negative")
    if not weights:
        if total:
            raise ValueError(f"nothing to spread {total} fen over")
        return []
    whole = sum(weights)
    if whole == 0:
        return [total] + [0] * (len(weights) - 1)
    parts = [divmod(total * weight, whole) for weight in weights]
    shares = [share for share, _ in parts]
    by_fraction = sorted(range(len(parts)), key=lambda index: -parts[index][1])
    for index in by_fraction[: total - sum(shares)]:
        shares[index] += 1
    return shares


def spread_units(total: int, quantity: int) -> list[int]:
    """Spreads `total` fen over `quantity` equal units: the first units carry the odd fen.

    Raises ValueError for a negative total or a quantity below 1.
    """
    if quantity < 1:
        raise ValueError("quantity must be at least 1")
    if total < 0:
        raise ValueError("total must not be negative")
    each, odd = divmod(total, quantity)
    return [each + 1] * odd + [each] * (quantity - odd)


def rate(amount: int, bp: int) -> int:
    """`bp` basis points (1/100 %) of `amount` fen, in fen.

    Half a fen rounds up, of a negative amount away from zero: so a reversal mirrors what it reverses.
    Raises ValueError for negative basis points.
    """
    if bp < 0:
        raise ValueError("basis points must not be negative")
    share = (abs(amount) * bp + BASIS_POINTS // 2) // BASIS_POINTS
    return share if amount >= 0 else -share


def parse_yuan(value: str | Decimal) -> int:
    """Yuan as written by people ("19.9", "-0.05", "1200") to fen.

    No exponent, currency sign or thousands separator. Raises ValueError with a sentence for anything that is
    not a number, has a fraction of a fen other than 0, or has more than 13 digits before the point.
    """
    if isinstance(value, Decimal):
        if not value.is_finite() or (value and not -_MAX_DIGITS <= value.adjusted() < _MAX_DIGITS):
            raise ValueError("not an amount in yuan")
        value = f"{value:f}"
    match = _YUAN.fullmatch(value.strip())
    if match is None or not (match[2] or match[3]):
        raise ValueError(f"{value.strip()[:40]!r} is not an amount in yuan")
    cents = (match[3] or "").rstrip("0")
    if len(cents) > 2:
        raise ValueError(f"{value.strip()[:40]!r} has a fraction of a fen")
    fen = int(match[2] or "0") * 100 + int(cents.ljust(2, "0"))
    return -fen if match[1] == "-" else fen


def format_yuan(fen: int) -> str:
    """Fen to yuan with two decimals, without currency sign: 1990 -> "19.90"; `parse_yuan` reads it back."""
    yuan, cents = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{yuan}.{cents:02d}"
