"""What goes into a parcel. Pure."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from core.kit.errors import Conflict, FieldError, Invalid, NotFound

# Of a line with more units than this, all are used with one code.
MOST_CODES = 20


class OpenLine(msgspec.Struct, frozen=True):
    """An order line and how many of its units are still to leave: neither shipped nor cancelled by a refund."""

    id: UUID
    sku_id: UUID
    left: int
    requires_shipping: bool = True
    product_id: UUID = UUID(int=0)


def pack(lines: Sequence[OpenLine], wanted: Sequence[tuple[UUID, int]] | None) -> list[tuple[OpenLine, int]]:
    """The lines and quantities of a parcel: what is `wanted`, or all that is left when that is None.

    Raises `Conflict` (`nothing_left`) when nothing of a line, or of the whole order, is left to ship; `Invalid` for
    more than is left and for a line named twice; `NotFound` for a line of another order.
    """
    if wanted is None:
        everything = [(line, line.left) for line in lines if line.left > 0]
        if not everything:
            raise Conflict("Nothing of this order is left to ship.", code="nothing_left")
        return everything
    known = {line.id: line for line in lines}
    seen: set[UUID] = set()
    packed = []
    for place, (line_id, quantity) in enumerate(wanted):
        if line_id in seen:
            raise _bad(f"lines[{place}].line_id", "repeated", "Name each line once.")
        seen.add(line_id)
        packed.append((_fitting(known, line_id, quantity, place), quantity))
    return packed


def services(lines: Sequence[OpenLine]) -> list[tuple[OpenLine, int]]:
    """The parcels of what needs no shipping, as (line, quantity): one for each unit, so that each can be used at another
    time; of a line with many units one for all of them."""
    parcels = []
    for line in lines:
        if line.requires_shipping or line.left == 0:
            continue
        single = line.left <= MOST_CODES
        parcels += [(line, 1)] * line.left if single else [(line, line.left)]
    return parcels


def chosen(lines: Sequence[OpenLine], wanted: Sequence[tuple[UUID, int]]) -> list[tuple[OpenLine, int]]:
    """The lines of an order whose goods are replaced, each once, whatever is left to ship of them.

    Raises `NotFound` for a line of another order, `Invalid` for none, for one named twice and for a quantity below 1.
    """
    known = {line.id: line for line in lines}
    if not wanted:
        raise _bad("lines", "required", "Name the lines whose goods are replaced.")
    if len({line_id for line_id, _ in wanted}) < len(wanted):
        raise _bad("lines", "repeated", "Name each line once.")
    if any(line_id not in known for line_id, _ in wanted):
        raise NotFound("This order has no such line.")
    if any(quantity < 1 for _, quantity in wanted):
        raise _bad("lines", "range", "At least 1 unit.")
    return [(known[line_id], quantity) for line_id, quantity in wanted]


def _fitting(known: Mapping[UUID, OpenLine], line_id: UUID, quantity: int, place: int) -> OpenLine:
    line = known.get(line_id)
    if line is None:
        raise NotFound("This order has no such line.")
    if line.left == 0:
        raise Conflict("Nothing of this line is left to ship.", code="nothing_left")
    if quantity > line.left:
        raise _bad(f"lines[{place}].quantity", "more_than_left", f"At most {line.left} can be shipped.")
    return line


def _bad(field: str, code: str, detail: str) -> Invalid:
    return Invalid("This parcel cannot be packed.", FieldError(field, code, detail))
