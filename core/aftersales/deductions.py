"""What refunds of an order keep back, over all of them. Pure; amounts in fen.

Plugins say with each refund what is to be kept back from now on, and what is to be given back because its reason is gone.
What a refund is too small for waits for those that come after it; so whatever the portions, all of them together keep back
what plugins asked for, as far as there was ever anything to keep it back from.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from core.aftersales.rules import GIFT, Plan
from core.types.orders import Deduction

BEARERS = ("merchant", "market")

Answers = Sequence[tuple[str, Sequence[Deduction]]]


class Key(NamedTuple):
    """What deductions are added up by."""

    plugin: str
    label: str
    bearer: str


class Kept(Deduction, frozen=True, kw_only=True, omit_defaults=True):
    """A deduction as it is stored: of what was `asked` for with this refund and what waited from earlier ones, `amount` was
    kept back. None: all of it was."""

    asked: int | None = None


class Standing(NamedTuple):
    """What was asked for so far, and what of it was kept back."""

    asked: int = 0
    kept: int = 0


def standings(stored: Iterable[Kept]) -> dict[Key, Standing]:
    """How the deductions of all refunds of an order so far add up."""
    found: dict[Key, Standing] = {}
    for one in stored:
        key = Key(one.plugin, one.label, one.bearer)
        asked, kept = found.get(key, Standing())
        found[key] = Standing(asked + (one.amount if one.asked is None else one.asked), kept + one.amount)
    return found


def keep_back(before: Mapping[Key, Standing], answers: Answers, limit: int) -> tuple[Kept, ...]:
    """The deductions of a refund of `limit` fen, after those `before`: what was kept back and has no reason any more is
    given back, never more than was kept; then what waits and what plugins answered is kept back, in their order, the last
    that fits cut. What a merchant gives back may be kept back for something else at once.

    Raises ValueError for a bearer that there is not: a defect of the plugin.
    """
    asked = _asked(answers)
    found = []
    for key in sorted({**before, **asked}, key=lambda key: key.plugin):
        so_far = before.get(key, Standing())
        now = max(asked.get(key, 0), -so_far.asked)
        found.append(Kept(key.plugin, key.label, so_far.asked + now - so_far.kept, key.bearer, asked=now))
    limit += sum(-one.amount for one in found if one.amount < 0 and one.bearer == "merchant")
    made = []
    for one in found:
        amount = min(one.amount, limit)
        limit -= max(0, amount)
        if amount or one.asked:
            made.append(msgspec.structs.replace(one, amount=amount))
    return tuple(made)


def cancelled(plan: Plan, answers: Answers) -> dict[UUID, int]:
    """The units of gifts, by line, that plugins cancel beside what the refund takes anyway.

    Raises ValueError for what is no gift of the order, or has left: a defect of the plugin.
    """
    there = {line.line_id: line.to_ship for line in plan.stays if line.kind == GIFT}
    units: Counter[UUID] = Counter()
    for plugin, deductions in answers:
        for line_id, quantity in (pair for one in deductions for pair in one.cancelled):
            units[line_id] += quantity
            if quantity < 1 or units[line_id] > there.get(line_id, 0):
                raise ValueError(f"plugin {plugin} cancels {quantity} of line {line_id}, which cannot be")
    return dict(units)


def _asked(answers: Answers) -> dict[Key, int]:
    sums: dict[Key, int] = {}
    for plugin, deductions in answers:
        for one in deductions:
            if one.bearer not in BEARERS:
                raise ValueError(f"plugin {plugin} answered a deduction that cannot be: {one}")
            key = Key(plugin, one.label, one.bearer)
            sums[key] = sums.get(key, 0) + one.amount
    return sums
