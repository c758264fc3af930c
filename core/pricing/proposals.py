"""From a rule to a candidate: ask it what it would do and check the answer. A rule that misbehaves is
refused with a code; it never breaks a quote."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from core.pricing import watch
from core.pricing.state import Candidate, Cut, Key, State, gift_key, spread
from core.pricing.words import Reason, say, says
from core.types.pricing import (
    AddLine,
    Adjust,
    BasketLine,
    Phase,
    PriceRule,
    Refused,
    RuleKind,
    ShippingAdjust,
    Uses,
    View,
)

MAX_QUANTITY = 9_999
MAX_PARTS = 1_000
_MAX_USES = 1_000_000_000
_ALL_BP = 10_000
_KEYS = {str, UUID}


class Stage:
    """What one group of rules is shown, and the amounts in it."""

    __slots__ = ("room", "view")

    def __init__(self, view: View) -> None:
        self.view = view
        self.room: dict[Key, int] = {line.line.key: line.amount for line in view.lines} | dict(view.shipping)


def examine(rule: PriceRule, kind: RuleKind, state: State, stage: Stage) -> Candidate | Reason:
    """The candidate, or why the rule does not apply."""
    if not stage.view.lines:
        return say("no_matching_goods")
    try:
        answer: object = watch.run(rule.propose, stage.view)
    except watch.EndlessError:
        return say("rule_endless")
    except Exception as error:  # noqa: BLE001  a plugin's fault must not stop a purchase
        return say("rule_failed", type(error).__name__)
    if isinstance(answer, Refused):
        return _refusal(answer)
    if not isinstance(answer, tuple | list) or len(answer) > MAX_PARTS:
        return say("bad_proposal", f"The rule answered with {type(answer).__name__}, or with too much.")
    allowed = _ALLOWED[kind.phase]
    reader = _Reader(rule, state, stage.room)
    for part in answer:
        fault = reader.read(part) if isinstance(part, allowed) else _misplaced(part, kind.phase)
        if fault is not None:
            return say("bad_proposal", fault)
    if not reader.cuts and not reader.gifts:
        return say("nothing_to_do")
    return Candidate(rule, kind, reader.cuts, reader.gifts, frozenset(reader.shops), reader.uses)


def _refusal(answer: Refused) -> Reason:
    sound = isinstance(answer.code, str) and isinstance(answer.detail, str) and isinstance(answer.zh, str)
    if sound and type(answer.short) is int:
        return says(answer)
    return say("bad_proposal", "The rule refuses without a code and a sentence.")


def _allowed(phase: Phase) -> tuple[type, ...]:
    if phase is Phase.SHIPPING_DISCOUNT:
        return (ShippingAdjust, Uses)
    if phase is Phase.POINTS:
        return (Adjust, Uses)
    return () if phase is Phase.SHIPPING else (Adjust, AddLine, Uses)


_ALLOWED = {phase: _allowed(phase) for phase in Phase}


def _misplaced(part: object, phase: Phase) -> str:
    return f"{type(part).__name__} cannot be proposed in the phase {phase.name.lower()}."


class _Reader:
    """Reads the parts of one proposal; every answer of a reading method is a fault or None."""

    __slots__ = ("cuts", "gifts", "room", "rule", "shops", "state", "uses")

    def __init__(self, rule: PriceRule, state: State, room: Mapping[Key, int]) -> None:
        self.rule, self.state, self.room = rule, state, room
        self.cuts: list[Cut] = []
        self.gifts: list[AddLine] = []
        self.shops: set[UUID] = set()
        self.uses = 0

    def read(self, part: object) -> str | None:
        """Take one part in."""
        if isinstance(part, Adjust):
            return self._cut(part.keys, part.amount, part.merchant_bp)
        if isinstance(part, Uses):
            return self._use(part.units)
        if isinstance(part, ShippingAdjust):
            return self._cut((part.merchant_id,), part.amount, part.merchant_bp)
        return self._gift(part) if isinstance(part, AddLine) else "Unknown part of a proposal."

    def _use(self, units: int) -> str | None:
        if type(units) is not int or not 0 <= units <= _MAX_USES:
            return f"What a rule uses up is a whole number from 0 to {_MAX_USES}."
        self.uses += units
        return None

    def _cut(self, keys: tuple[Key, ...], amount: int, merchant_bp: int) -> str | None:
        room = self.room
        if self.cuts:
            # Discounts of one rule take from each other, as they will when they are applied.
            room = dict(room)
            spread(room, self.cuts)
        fault = _fault(room, keys, amount, merchant_bp)
        if fault is not None or amount == 0:
            return fault
        # A shop's fee is known by the shop itself.
        shop_of = self.state.shop_of
        self.cuts.append(Cut(tuple(sorted(keys)) if len(keys) > 1 else tuple(keys), amount, merchant_bp))
        self.shops.update([shop_of.get(key, key) for key in keys])  # type: ignore[arg-type]
        return None

    def _gift(self, part: AddLine) -> str | None:
        line = part.line
        if (
            not isinstance(part.parent, str)
            or part.parent not in self.room
            or not isinstance(line, BasketLine)
        ):
            return "A gift belongs to a line that the rule was not shown."
        if not isinstance(line.key, str) or not all(
            isinstance(i, UUID) for i in (line.sku_id, line.product_id)
        ):
            return "A gift names no SKU."
        if line.merchant_id != self.state.shop_of[part.parent]:
            return "A gift comes from another shop than its line."
        if type(line.quantity) is not int or not 1 <= line.quantity <= MAX_QUANTITY:
            return f"A gift has a quantity of 1 to {MAX_QUANTITY}."
        if any(gift_key(self.rule, part) == gift_key(self.rule, other) for other in self.gifts):
            return "A gift is given twice to the same line."
        self.gifts.append(part)
        self.shops.add(line.merchant_id)
        return None


def _fault(room: Mapping[Key, int], keys: object, amount: object, merchant_bp: object) -> str | None:
    if not isinstance(keys, tuple | list) or not keys or not _are_keys(keys):
        return "A discount names no lines."
    distinct = set(keys)
    if not distinct <= room.keys() or len(distinct) != len(keys):
        return "A discount names lines that the rule was not shown, or one twice."
    if type(amount) is not int or type(merchant_bp) is not int or not 0 <= merchant_bp <= _ALL_BP:
        return "An amount or the merchant's share is not a whole number in its range."
    if not 0 <= amount <= sum([room[key] for key in keys]):
        return "A discount is negative or more than there is."
    return None


def _are_keys(keys: Sequence[object]) -> bool:
    """Whether these are keys of lines or fees; anything else may not even be hashable."""
    return {*map(type, keys)} <= _KEYS or all(isinstance(key, str | UUID) for key in keys)
