"""Which units a case may be about. Pure."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from core.aftersales.cases.machine import Kind
from core.aftersales.rules import GIFT, Line, Wanted
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.html import safe_image, safe_link
from core.kit.ids import ref


class Claim(msgspec.Struct, frozen=True):
    """Units of a line that open cases are about; `to_return` of them are with the buyer and are to come back."""

    units: int
    to_return: int


_NONE = Claim(0, 0)


def check_units(
    merchant_id: UUID,
    lines: Sequence[Line],
    claims: Mapping[UUID, Claim],
    waiting: Mapping[UUID, int],
    kind: Kind,
    wanted: Wanted,
) -> None:
    """Whether a case of this kind may be about `wanted` (line id, quantity), besides the open cases that `claims` are of.
    Of the units that have left, `waiting` are not fetched yet.

    Raises `NotFound` for a line of another order; `Invalid` for one named twice; `Conflict`: `refund_exceeds` for more than
    is not refunded, `in_case` for units that an open case is about, `not_shipped` when units are to come back that never
    left, `gift_alone` for a gift without what it came with.
    """
    known = {line.id: line for line in lines}
    named: set[UUID] = set()
    for place, (line_id, quantity) in enumerate(wanted):
        if line_id in named:
            detail = "Name each line once."
            raise Invalid(
                "This cannot be asked for.", FieldError(f"lines[{place}].line_id", "repeated", detail)
            )
        named.add(line_id)
        line = known.get(line_id)
        if line is None:
            raise NotFound("This order has no such line.")
        claim = claims.get(line_id, _NONE)
        _check_left(merchant_id, line, claim, quantity)
        if kind != "refund_only":
            there = line.left - line.to_ship - claim.to_return - waiting.get(line_id, 0)
            _check_there(merchant_id, line, there, quantity)
    _check_gifts([known[line_id] for line_id in named])


def _check_left(merchant_id: UUID, line: Line, claim: Claim, quantity: int) -> None:
    named = {"line_id": ref(merchant_id, line.id)}
    if quantity > line.left:
        raise Conflict(
            f"Only {line.left} of {line.quantity} units of this line are not refunded yet.",
            code="refund_exceeds",
            left=line.left,
            **named,
        )
    if quantity > line.left - claim.units:
        raise Conflict(
            f"Open cases are about {claim.units} of the {line.left} units left.",
            code="in_case",
            left=line.left - claim.units,
            **named,
        )


def _check_there(merchant_id: UUID, line: Line, there: int, quantity: int) -> None:
    if quantity > there:
        raise Conflict(
            f"Only {there} units of this line are with the buyer and can be sent back.",
            code="not_shipped",
            left=there,
            line_id=ref(merchant_id, line.id),
        )


def _check_gifts(lines: Sequence[Line]) -> None:
    bought = {line.id for line in lines if line.kind != GIFT}
    for gift in lines:
        if gift.kind == GIFT and not (gift.parent_id in bought if gift.parent_id else bought):
            raise Conflict("A gift goes back with what it came with, not on its own.", code="gift_alone")


def checked_images(urls: Sequence[str]) -> list[str]:
    """The images, each once. Raises `Invalid` naming each that is neither https nor under /media/."""
    detail = "An image is an https:// address or begins with /media/."
    bad = [n for n, url in enumerate(urls) if not _is_image(url)]
    if bad:
        raise Invalid(detail, *(FieldError(f"images[{n}]", "bad_image", detail) for n in bad))
    return list(dict.fromkeys(urls))


def _is_image(url: str) -> bool:
    # A path of ours is as safe below /media/ as it is below /static/.
    path = url.removeprefix("/media/")
    return safe_link(url) is not None if path == url else safe_image(f"/static/{path}") is not None
