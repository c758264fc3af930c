"""The flash price of one line, and how it combines with other kinds of prices. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

import msgspec

from core.api import Adjust, Phase, PriceRule, Proposal, Refusals, Refused, Relation, RuleKind, View

PRICE = "flash_sale.price"
PRICE_OPEN = "flash_sale.price_open"

# China keeps one time in all its zones.
CHINA = timezone(timedelta(hours=8))

KINDS = (
    RuleKind(PRICE, Phase.ITEM_PRICE, "限时秒杀", priority=20, per_line=True),
    RuleKind(PRICE_OPEN, Phase.ITEM_PRICE, "限时秒杀（可用平台券）", priority=20, per_line=True),
)

_BEST = (
    "group_buy.price",
    "group_buy.price_open",
    "membership.price",
    "membership.shop_price",
    "promotions.limited",
)
_BLOCK = (
    "coupons.shop",
    "promotions.bundle",
    "promotions.gift",
    "promotions.market_reduction",
    "promotions.nth",
    "promotions.reduction",
)


def _pairs() -> Iterable[tuple[tuple[str, str], Relation]]:
    yield (PRICE, PRICE_OPEN), Relation.BEST
    yield (PRICE, "coupons.market"), Relation.BLOCK
    for mine in (PRICE, PRICE_OPEN):
        yield from (((mine, other), Relation.BEST) for other in _BEST)
        yield from (((mine, other), Relation.BLOCK) for other in _BLOCK)


# Of prices of a single product the lowest counts on each line; nothing else goes with this one but freight, points and, if
# the event says so, the market's coupons.
PAIRS = dict(_pairs())


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A SKU in a slot as one account may have it: `left` pieces of it, of which the account took `taken` before. The shop
    bears `share_bp` of the discount. `ends_at` is when it was stopped, if it was."""

    name: str
    price: int
    per_order: int
    per_account: int
    left: int
    taken: int
    starts_at: datetime
    ends_at: datetime
    share_bp: int
    market_coupons: bool


class FlashRule(PriceRule, frozen=True, kw_only=True):
    """The flash price of the line `key`. `fault` says what is wrong with the request token, if anything."""

    key: str
    offer: Offer
    fault: str = ""

    def propose(self, view: View) -> Proposal | Refused:
        """What the pieces cost less, or why they do not."""
        seen = next((seen for seen in view.lines if seen.line.key == self.key), None)
        if seen is None:
            return refused("no_matching_goods")
        stale = self._stale(view.basket.now, seen.line.quantity)
        if stale is not None:
            return stale
        saved = seen.amount - self.offer.price * seen.line.quantity
        if saved <= 0:
            return refused("no_saving")
        return (Adjust((self.key,), saved, self.offer.share_bp),)

    def _stale(self, now: datetime, quantity: int) -> Refused | None:
        offer = self.offer
        if now < offer.starts_at:
            return refused("not_started", f"{offer.starts_at.astimezone(CHINA):%Y-%m-%d %H:%M}")
        if now >= offer.ends_at:
            return refused("flash_over")
        if self.fault:
            return refused(self.fault)
        if offer.left <= 0:
            return refused("sold_out")
        if quantity > offer.per_order:
            return refused("order_limit", str(offer.per_order))
        if offer.taken + quantity > offer.per_account:
            return refused("account_limit", str(offer.per_account))
        return refused("few_left", str(offer.left)) if quantity > offer.left else None


class NoSale(PriceRule, frozen=True, kw_only=True):
    """An activity that the buyer named but that has nothing of this line."""

    def propose(self, view: View) -> Proposal | Refused:  # noqa: ARG002
        """Always refused."""
        return refused("unknown_activity")


refused = Refusals(
    {
        "no_matching_goods": ("This is not on sale here.", "该商品不在本场秒杀中。"),
        "no_saving": ("The price is no higher without the sale.", "当前价格已不高于秒杀价。"),
        "not_started": ("The sale starts at {it} (China time).", "秒杀将于 {it} 开始（北京时间）。"),
        "flash_over": ("The sale is over.", "本场秒杀已结束。"),
        "sold_out": ("The pieces of the sale are gone.", "秒杀商品已抢光。"),
        "few_left": ("Only {it} left in the sale.", "秒杀仅剩 {it} 件。"),
        "order_limit": ("At most {it} in one order.", "每单限购 {it} 件。"),
        "account_limit": ("At most {it} for each buyer.", "每人限购 {it} 件。"),
        "token_required": ("Ask for admission to the sale first.", "请先点击抢购，获得资格后再下单。"),
        "token_invalid": (
            "This request token is not valid, or no more.",
            "抢购资格无效或已过期，请重新抢购。",
        ),
        "token_used": ("This request token was used already.", "抢购资格已使用过。"),
        "unknown_activity": ("There is no such sale of this product.", "没有这场秒杀。"),
    },
    codes={"few_left": "sold_out"},
)
