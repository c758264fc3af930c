"""Round off (抹零): what the goods cost in the end is rounded down to full yuan, and the market pays for it."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from core.api import Adjust, Basket, Phase, Plugin, PriceRule, Refused, RuleKind, Tx, View, hookimpl


class RoundOffConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator sets."""

    # Round down to a multiple of this many fen.
    unit: Annotated[int, msgspec.Meta(ge=10, le=10_000)] = 100


class RoundOff(PriceRule, frozen=True, kw_only=True):
    """Takes off what is over a multiple of `unit` fen. Pure: it sees the basket as earlier phases left it."""

    unit: int

    def propose(self, view: View) -> tuple[Adjust, ...] | Refused:
        """One discount over all lines, borne by the market."""
        total = sum(line.amount for line in view.lines)
        if total < self.unit or total % self.unit == 0:
            return Refused("already_round", "There is nothing to round off.")
        return (Adjust(tuple(line.line.key for line in view.lines), total % self.unit, merchant_bp=0),)


class RoundOffPlugin(Plugin):
    """The manifest, and one hook."""

    name = "round_off"
    title = "抹零"
    summary = "商品实付金额抹去零头，由平台承担。"
    Config = RoundOffConfig
    config: RoundOffConfig
    rule_kinds = (RuleKind("round_off", Phase.POINTS, "抹零", per_trade=1),)

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:  # noqa: ARG002 - the same for all
        """One rule for everybody; no statement."""
        kind = self.rule_kinds[0].name
        return [RoundOff(plugin=self.name, id=kind, kind=kind, label=self.title, unit=self.config.unit)]
