"""Membership: manifest and hooks. What levels and points take off is in `rules.py` and `pricing.py`, how points add up in
`purse.py`, how they are written in `books.py`, what becomes of them in a purchase in `using.py` and `earning.py`, of levels
that are bought in `buying.py` and `terms.py`, of what guests had in `guests.py`."""

from collections.abc import Mapping, Sequence

import msgspec

from core.api import (
    Badge,
    BadgePage,
    Basket,
    BenefitProvider,
    Closing,
    Deduction,
    Demo,
    KeptRules,
    Merging,
    OrderEvent,
    Permission,
    Phase,
    Placement,
    Plugin,
    PriceRule,
    RefundDraft,
    Refunded,
    Relation,
    RuleKind,
    Tx,
    hookimpl,
)
from plugins.membership import badges, buying, demo, earning, guests, pricing, repository, routes, using
from plugins.membership.badges import Remembered
from plugins.membership.benefits import PointsBenefits
from plugins.membership.config import Config
from plugins.membership.models import METADATA
from plugins.membership.rules import MARKET_PRICE, POINTS, SHOP_PRICE, Level

# Other prices of single products, of which the best counts on each line. Those of plugins whose names come before this one's
# are listed by them.
_OTHER_PRICES = ("promotions.limited", "promotions.nth", "promotions.bundle")


class MembershipPlugin(Plugin):
    """Levels of the market and of shops with member prices, and the market's points."""

    name = using.PLUGIN
    title = "会员"
    summary = "市场与商家的会员等级、会员价，以及购物得积分、积分抵现。"
    Config = Config
    metadata = METADATA
    migrations = "plugins.membership.migrations"
    shop_routes = routes.shop_routes
    merchant_routes = routes.merchant_routes
    platform_routes = routes.platform_routes
    permissions = (
        Permission(
            routes.MANAGE, "merchant", "Define the shop's levels, look after its members", ("marketing",)
        ),
        Permission(routes.MANAGE, "platform", "Define the market's levels, look after members and points"),
    )
    timers = earning.TIMERS
    cycles = earning.CYCLES
    rule_kinds = (
        RuleKind(MARKET_PRICE, Phase.ITEM_PRICE, "平台会员价", per_line=True),
        RuleKind(SHOP_PRICE, Phase.ITEM_PRICE, "店铺会员价", priority=1, per_line=True),
        RuleKind(POINTS, Phase.POINTS, "积分抵扣", per_trade=1),
    )
    rule_pairs = {
        (MARKET_PRICE, SHOP_PRICE): Relation.BEST,
        **{(mine, other): Relation.BEST for mine in (MARKET_PRICE, SHOP_PRICE) for other in _OTHER_PRICES},
    }

    def __init__(self, config: msgspec.Struct | None = None) -> None:
        super().__init__(config)
        self.kept: KeptRules[Level] = KeptRules(self.name)
        self.remembered = Remembered()

    def benefits(self) -> Mapping[str, BenefitProvider]:
        """Points, by their number."""
        return {f"{self.name}.points": PointsBenefits()}

    async def open_business(self, tx: Tx) -> Mapping[str, int]:
        """Orders that used points and may still be closed or refunded: their money is not released; bought levels that have
        not ended."""
        return {
            "orders with points": await repository.undecided(tx),
            "bought levels": await repository.running(tx),
        }

    async def demo(self, tx: Tx, market: Demo) -> None:
        """Levels, a member who has one, and points to spend."""
        await demo.fill(tx, market)

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        """A rule for each line that a level of the buyer makes cheaper, and one for points if the buyer wants to use some;
        at most one statement, none for who is no member."""
        return await pricing.rules(tx, basket, self.kept)

    @hookimpl
    async def product_badges(self, tx: Tx, page: BadgePage) -> Sequence[Badge]:
        """The viewer's member price; levels are up to 5 seconds old, what the viewer has up to 30."""
        return await badges.badges(tx, page, self.remembered)

    @hookimpl
    async def order_placing(self, tx: Tx, placement: Placement) -> None:
        """Take the points that were used."""
        await using.use(tx, placement)

    @hookimpl
    async def order_closing(self, tx: Tx, closing: Closing) -> None:
        """Give points back."""
        await using.close(tx, closing)

    @hookimpl(every_order=True)
    async def refund_settling(self, tx: Tx, refunded: Refunded) -> None:
        """Give back points that were used, and take back what the order had brought."""
        await using.settle(tx, refunded)

    @hookimpl(every_order=True)
    async def refund_requesting(self, tx: Tx, refund: RefundDraft) -> Sequence[Deduction]:
        """Take back the time of levels that are refunded; keep back the worth of what was used."""
        return await buying.take_back(tx, refund)

    @hookimpl
    async def account_merging(self, tx: Tx, merging: Merging) -> None:
        """What the guest had goes to the account."""
        await guests.merge(tx, merging)

    @hookimpl
    async def order_paid(self, tx: Tx, event: OrderEvent) -> None:
        """The levels that are bought with the order, where paid orders bring them."""
        if tx.config(Config).bought_at == "paid":
            await buying.grant(tx, event)

    @hookimpl
    async def order_completed(self, tx: Tx, event: OrderEvent) -> None:
        """The levels that are bought with the order, if they did not come before; points and growth, where completed orders
        bring them."""
        await buying.grant(tx, event)
        if tx.config(Config).earn_at == "completed":
            await earning.earn(tx, event)

    @hookimpl
    async def order_released(self, tx: Tx, event: OrderEvent) -> None:
        """Points and growth for the order, where released orders bring them."""
        if tx.config(Config).earn_at == "released":
            await earning.earn(tx, event)
