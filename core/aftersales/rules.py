"""What goes back with a refund: units, money by bearer, freight, the market's fee. Pure; amounts in fen.

The units of a line are numbered from 0 and refunded in that order, each at its own net value (`core.pricing.units`). Freight
and fee are reckoned on everything refunded so far, so whatever the portions, they add up to what was paid.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import ref
from core.pricing.units import Share, Worth, worth
from core.types.orders import KeptLine, RefundDiscount, RefundLine

GIFT = "gift"

Wanted = Sequence[tuple[UUID, int]]
# Units by line id.
Units = Mapping[UUID, int]


class Discount(msgspec.Struct, frozen=True):
    """One discount of a line, by bearer."""

    plugin: str
    rule: str
    market: int
    merchant: int


class Line(msgspec.Struct, frozen=True):
    """An order line as it stands. Of the `refunded` units, the `cancelled` ones never left; `discounts` are in the order in
    which they were stored."""

    id: UUID
    kind: str
    sku_id: UUID
    product_id: UUID
    parent_id: UUID | None
    quantity: int
    unit_price: int
    shipped: int = 0
    refunded: int = 0
    cancelled: int = 0
    discounts: tuple[Discount, ...] = ()

    @property
    def left(self) -> int:
        """Units not refunded."""
        return self.quantity - self.refunded

    @property
    def to_ship(self) -> int:
        """Units that are still to leave."""
        return self.quantity - self.shipped - self.cancelled

    def worth(self, first: int, count: int) -> Worth:
        """The worth of `count` units from number `first`."""
        shares = [Share(d.market, d.merchant) for d in self.discounts]
        return worth(self.unit_price, self.quantity, shares, first, count)


class Earned(msgspec.Struct, frozen=True):
    """What somebody earns on a line, and what refunds took of it."""

    id: UUID
    line_id: UUID
    owner_id: UUID
    amount: int
    refunded: int = 0


class GivenUp(msgspec.Struct, frozen=True):
    """What of an earning goes back."""

    id: UUID
    owner_id: UUID
    amount: int


class Order(msgspec.Struct, frozen=True):
    """What a refund reckons with. `shipping` is the freight that was paid, `shipping_market` what the market bore of its
    discounts; `left` is what is frozen of it for the merchant, None once it is released."""

    merchant_id: UUID
    lines: tuple[Line, ...]
    shipping: int = 0
    shipping_market: int = 0
    refunded_shipping: int = 0
    commission: int = 0
    refunded_commission: int = 0
    earnings: tuple[Earned, ...] = ()
    left: int | None = 0


class Part(NamedTuple):
    """Units of one line that go back: `cancelled` never left, `returned` had."""

    line: Line
    cancelled: int
    returned: int

    @property
    def quantity(self) -> int:
        """All of them."""
        return self.cancelled + self.returned


class PlanLine(msgspec.Struct, frozen=True):
    """A part with its money, by bearer."""

    part: Part
    amount: int
    market: int
    merchant: int
    refund: RefundLine


class Plan(msgspec.Struct, frozen=True):
    """A refund before deductions. `next_status` is what the order becomes by it: nothing is left to ship of it, and it is
    `closed` if nothing ever was, otherwise `shipped`; `stays` are the lines of which units are left."""

    lines: tuple[PlanLine, ...]
    goods: int
    shipping: int
    market_borne: int
    commission: int
    stays: tuple[KeptLine, ...]
    whole_order: bool
    next_status: str | None

    @property
    def parts(self) -> list[Part]:
        """The units that go back."""
        return [line.part for line in self.lines]

    @property
    def kept(self) -> int:
        """What the buyer had paid for the goods that stay."""
        return sum(line.amount for line in self.stays)


def plan(
    order: Order,
    status: str,
    wanted: Wanted | None,
    shipping: int | None,
    *,
    restock: bool,
    cancelled: Units | None = None,
) -> Plan:
    """What goes back for `wanted` (line id, quantity), or for everything left when that is None, and `shipping` fen of
    freight; and of the gifts `cancelled` units that have not left (see `core.aftersales.deductions`). An order of which
    nothing is left and nothing ever left gets all of its freight back.

    Raises `NotFound` for a line of another order; `Invalid` for one named twice, a quantity below 1, or when nothing is
    asked for; `Conflict`: `refund_exceeds` for more than is left, `nothing_left` when everything is refunded.
    """
    parts = choose(order.lines, _asked(order, wanted), cancelled or {}, restock=restock)
    lines = tuple(_priced(part) for part in parts)
    taken = {part.line.id: part for part in parts}
    gone = all(_gone(line, taken) == line.quantity for line in order.lines)
    unshipped = not any(line.shipped for line in order.lines)
    freight = _freight(order, shipping or 0, everything=gone and unshipped)
    if not parts and not freight:
        raise _nothing(wanted)
    to_ship = sum(line.to_ship for line in order.lines) - sum(part.cancelled for part in parts)
    becomes = "closed" if unshipped else "shipped" if status == "accepted" else None
    return Plan(
        lines,
        sum(line.amount for line in lines),
        freight,
        sum(line.market for line in lines) + _freight_market(order, freight, everything=gone and unshipped),
        _commission(order, taken, whole=gone),
        _stays(order, taken),
        gone,
        becomes if to_ship == 0 else None,
    )


def choose(lines: Sequence[Line], asked: Units, cancelled: Units, *, restock: bool) -> list[Part]:
    """Units of the lines, and the gifts that go with them.

    Goods that come back to be sold again (`restock`) had left, so those units go first; otherwise those that never left.
    Once all of a line is refunded, its gifts that have not left go too; gifts of the whole order, with the last line. Of
    other gifts, those `cancelled`.
    """
    parts = {line.id: _part(line, asked[line.id], restock=restock) for line in lines if line.id in asked}

    done = {line.id for line in lines if line.kind != GIFT and _gone(line, parts) == line.quantity}
    everything = len(done) == sum(line.kind != GIFT for line in lines)
    for gift in lines:
        if gift.kind != GIFT:
            continue
        mine = parts.get(gift.id, Part(gift, 0, 0))
        gone = gift.parent_id in done if gift.parent_id else everything
        units = gift.to_ship if gone else mine.cancelled + cancelled.get(gift.id, 0)
        parts[gift.id] = mine._replace(cancelled=units)
    return [parts[line.id] for line in lines if line.id in parts and parts[line.id].quantity]


def given_up(order: Order, parts: Sequence[Part], taken: int) -> tuple[GivenUp, ...]:
    """What earners give up when a refund takes `taken` fen for the buyer and the market: of each earning its share of what
    the buyer had paid for the line's units so far, all of it with the last unit.

    Before the release no refund takes more than is frozen for the merchant: what is missing earners give up as well. After
    it they do not give up more than is taken.
    """
    gone = {part.line.id: part for part in parts}
    lines = {line.id: line for line in order.lines}
    back = [_earning_back(lines[e.line_id], e, _gone(lines[e.line_id], gone)) for e in order.earnings]
    room = taken if order.left is None else None
    short = 0 if order.left is None else taken - order.left - sum(back)
    found = []
    for earned, amount in zip(order.earnings, back, strict=True):
        more = max(0, min(short, earned.amount - earned.refunded - amount))
        short -= more
        given = amount + more if room is None else min(amount, room)
        room = None if room is None else room - given
        if given:
            found.append(GivenUp(earned.id, earned.owner_id, given))
    return tuple(found)


def _earning_back(line: Line, earned: Earned, gone: int) -> int:
    if gone == line.quantity:
        return earned.amount - earned.refunded
    whole = line.worth(0, line.quantity).amount
    share = earned.amount * line.worth(0, gone).amount // whole if whole and gone else 0
    return max(0, share - earned.refunded)


def _asked(order: Order, wanted: Wanted | None) -> dict[UUID, int]:
    if wanted is None:
        return {line.id: line.left for line in order.lines if line.left}
    known = {line.id: line for line in order.lines}
    asked: dict[UUID, int] = {}
    for place, (line_id, quantity) in enumerate(wanted):
        if line_id in asked:
            raise _bad(f"lines[{place}].line_id", "repeated", "Name each line once.")
        if quantity < 1:
            raise _bad(f"lines[{place}].quantity", "range", "At least 1 unit.")
        line = known.get(line_id)
        if line is None:
            raise NotFound("This order has no such line.")
        if quantity > line.left:
            raise Conflict(
                f"Only {line.left} of {line.quantity} units of this line are not refunded yet.",
                code="refund_exceeds",
                line_id=ref(order.merchant_id, line_id),
                left=line.left,
            )
        asked[line_id] = quantity
    return asked


def _part(line: Line, quantity: int, *, restock: bool) -> Part:
    returned = min(quantity, line.left - line.to_ship) if restock else max(0, quantity - line.to_ship)
    return Part(line, quantity - returned, returned)


def _priced(part: Part) -> PlanLine:
    line = part.line
    value = line.worth(line.refunded, part.quantity)
    discounts = tuple(
        RefundDiscount(discount.plugin, discount.rule, share.market, share.merchant)
        for discount, share in zip(line.discounts, value.shares, strict=True)
        if share.market or share.merchant
    )
    told = RefundLine(line.id, line.product_id, line.sku_id, part.quantity, value.amount, discounts)
    market, merchant = sum(s.market for s in value.shares), sum(s.merchant for s in value.shares)
    return PlanLine(part, value.amount, market, merchant, told)


def _freight(order: Order, asked: int, *, everything: bool) -> int:
    left = order.shipping - order.refunded_shipping
    if asked < 0:
        raise _bad("shipping_amount", "range", "Freight to refund is not below 0.")
    if asked > left:
        raise Conflict(
            f"Only {left} fen of the freight are not refunded yet.", code="refund_exceeds", shipping_left=left
        )
    return left if everything else asked


def _freight_market(order: Order, freight: int, *, everything: bool) -> int:
    """The market's part of the freight's discounts that goes back with `freight`: in proportion, all with the last fen."""

    def share(refunded: int) -> int:
        return order.shipping_market * refunded // order.shipping if order.shipping else 0

    after = order.shipping_market if everything else share(order.refunded_shipping + freight)
    return after - share(order.refunded_shipping)


def _commission(order: Order, taken: Mapping[UUID, Part], *, whole: bool) -> int:
    """The fee given up: in proportion to the base (goods after discounts that the merchant bears) refunded so far."""
    base = sum(_base(line, line.quantity) for line in order.lines)
    refunded = sum(_base(line, _gone(line, taken)) for line in order.lines)
    target = order.commission if whole else order.commission * refunded // base if base else 0
    # More was given up already where the fee was capped at the release.
    return max(0, target - order.refunded_commission)


def _base(line: Line, count: int) -> int:
    """What the first `count` units of a line count for in the base."""
    if count in (0, line.quantity):
        borne = sum(d.merchant for d in line.discounts) if count else 0
    else:
        borne = sum(share.merchant for share in line.worth(0, count).shares)
    return line.unit_price * count - borne


def _stays(order: Order, taken: Mapping[UUID, Part]) -> tuple[KeptLine, ...]:
    return tuple(
        KeptLine(
            *(line.id, line.product_id, line.sku_id, line.kind, line.quantity - gone),
            line.worth(gone, line.quantity - gone).amount,
            line.to_ship - (taken[line.id].cancelled if line.id in taken else 0),
        )
        for line in order.lines
        if (gone := _gone(line, taken)) < line.quantity
    )


def _gone(line: Line, taken: Mapping[UUID, Part]) -> int:
    """Units of a line that are refunded afterwards."""
    return line.refunded + (taken[line.id].quantity if line.id in taken else 0)


def _nothing(wanted: Wanted | None) -> Conflict | Invalid:
    if wanted is None:
        return Conflict("Everything of this order is refunded already.", code="nothing_left")
    return _bad("lines", "required", "Name lines, or an amount of freight.")


def _bad(field: str, code: str, detail: str) -> Invalid:
    return Invalid("This cannot be refunded.", FieldError(field, code, detail))
