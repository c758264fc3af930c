"""Plugins that fit and plugins that do not."""

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

import msgspec

from core.db.tx import Tx
from core.deployment.runtime import Runtime
from core.hooks import hookimpl
from core.plugin import Plugin
from core.types.events import OrderEvent
from core.types.pricing import Basket, Phase, PriceRule, Relation, RuleKind
from tests.support.pricing_model import Off

Make = Callable[..., Awaitable[Runtime]]


class BaseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Config with a bound."""

    percent: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 100:
            raise ValueError("percent must be 0 to 100")


class Base(Plugin):
    name = "base"
    title = "Base"
    summary = "Others need it."
    Config = BaseConfig

    @hookimpl
    async def order_paid(self, tx: Tx, event: OrderEvent) -> None:
        """Takes the event."""


class Above(Plugin):
    name = "above"
    title = "Above"
    summary = "Needs the base."
    requires = ("base",)


class Misfit(Plugin):
    name = "misfit"
    title = "Misfit"
    summary = "Its hook takes other arguments than the spec."

    @hookimpl
    async def order_paid(self, tx: Tx) -> None:
        """Not as declared."""


class Unmigratable(Plugin):
    name = "unmigratable"
    title = "Unmigratable"
    summary = "Its migrations are not there."
    migrations: ClassVar[str | None] = "nowhere.to.be.found"


class Offers(Plugin):
    """Takes 3.00 off for the club or 1.00 for the sale, the better of the two, and 0.50 more."""

    name = "offers"
    title = "Offers"
    summary = "Offers that combine."
    rule_kinds = (
        RuleKind("offers.sale", Phase.SHOP_PROMOTION, "sale"),
        RuleKind("offers.club", Phase.SHOP_PROMOTION, "club"),
        RuleKind("offers.more", Phase.MARKET_PROMOTION, "more"),
        RuleKind("offers.freight", Phase.SHIPPING_DISCOUNT, "freight", per_shop=1),
    )
    rule_pairs = {("offers.sale", "offers.club"): Relation.BEST}

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        """The three offers, for everybody."""
        amounts = {"sale": 100, "club": 300, "more": 50}
        return [
            Off(plugin="offers", id=name, kind=f"offers.{name}", label=name.title(), amount=amount)
            for name, amount in amounts.items()
        ]


CLASSES: dict[str, type[Plugin]] = {c.name: c for c in (Base, Above, Misfit, Unmigratable, Offers)}
