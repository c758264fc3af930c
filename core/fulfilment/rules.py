"""What goes into a parcel. Pure."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from core.kit.errors import Conflict, FieldError, Invalid, NotFound


class OpenLine(msgspec.Struct, frozen=True):
    """An order line and how many of its units are still to leave: neither shipped nor cancelled by a refund."""

    id: UUID
    sku_id: UUID
    left: int


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
