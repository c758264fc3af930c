"""The group price of one line, and how it combines with other kinds of prices. Pure."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from core.api import Adjust, Phase, PriceRule, Proposal, Refusals, Refused, Relation, RuleKind, View

PRICE = "group_buy.price"
PRICE_OPEN = "group_buy.price_open"

KINDS = (
    RuleKind(PRICE, Phase.ITEM_PRICE, "拼团", priority=10, per_line=True),
    RuleKind(PRICE_OPEN, Phase.ITEM_PRICE, "拼团（可用平台券）", priority=10, per_line=True),
)

# Those with flash sales are declared by these.
_BEST = ("membership.price", "membership.shop_price", "promotions.limited")
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


# One price of a single product on each line, and it is the group's, for the buyer asked for it; with it go only freight,
# points and, if the activity says so, the market's coupons.
PAIRS = dict(_pairs())


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """An activity's price for one SKU as this buyer may have it. `price` is the leader's for one who opens a group; None
    when the SKU takes no part. `left` is of the quota, `taken` what the account bought in the activity before. `ends_at` is
    when it was stopped, if it was. `busy`: it has a seat in another group that is not over, `inside`: in this one."""

    size: int
    price: int | None
    left: int
    taken: int
    per_order: int | None
    per_account: int | None
    starts_at: datetime
    ends_at: datetime
    busy: bool = False
    inside: bool = False
    welcome: bool = True


class Target(msgspec.Struct, frozen=True):
    """The group that is to be joined; `status` empty when there is none such."""

    status: str = ""
    taken: int = 0
    expires_at: datetime | None = None


def fault_of(offer: Offer, target: Target | None, quantity: int, now: datetime) -> str:
    """Why this buyer cannot have the group price, a name in `refused`; empty when nothing is in the way. Without `target` a
    group is to be opened."""
    if offer.price is None:
        return "not_in_activity"
    why = _opening(offer, now) if target is None else joining(offer, target, now)
    if why:
        return why
    if offer.per_order is not None and quantity > offer.per_order:
        return "order_limit"
    if offer.per_account is not None and offer.taken + quantity > offer.per_account:
        return "account_limit"
    return "quota_sold_out" if quantity > offer.left else ""


def _opening(offer: Offer, now: datetime) -> str:
    if now < offer.starts_at:
        return "not_started"
    if now >= offer.ends_at:
        return "activity_over"
    return "group_in_progress" if offer.busy or offer.inside else ""


def joining(offer: Offer, target: Target, now: datetime) -> str:
    """Why this buyer cannot join the group, a name in `refused`; empty when nothing is in the way."""
    if not target.status:
        return "unknown_group"
    if offer.inside:
        return "already_in_group"
    if target.status == "opening":
        return "group_not_open"
    if target.status == "succeeded":
        return "group_full"
    if target.status != "running" or target.expires_at is None or now >= target.expires_at:
        return "group_over"
    if target.taken >= offer.size:
        return "group_full"
    if offer.busy:
        return "group_in_progress"
    return "" if offer.welcome else "not_new"


class GroupRule(PriceRule, frozen=True, kw_only=True):
    """The group price of the line `key`; `fault` says why there is none. The shop bears `merchant_share_bp` of what it takes
    off, the market the rest."""

    key: str
    price: int
    fault: str = ""
    merchant_share_bp: int = 10_000

    def propose(self, view: View) -> Proposal | Refused:
        """What the group price takes off, or why it does not hold."""
        if self.fault:
            return refused(self.fault)
        seen = next((seen for seen in view.lines if seen.line.key == self.key), None)
        if seen is None:
            return refused("not_in_activity")
        saving = seen.amount - self.price * seen.line.quantity
        if saving <= 0:
            return refused("no_saving")
        return (Adjust((self.key,), saving, self.merchant_share_bp),)


# Why there is no group price, by code.
refused = Refusals(
    {
        "unknown_activity": ("There is no such group-buy.", "没有这个拼团活动。"),
        "not_in_activity": ("This article is not part of the group-buy.", "该规格不参加这个拼团。"),
        "not_started": ("This group-buy has not begun yet.", "拼团活动还没有开始。"),
        "activity_over": (
            "This group-buy is over; no new group can be opened.",
            "拼团活动已结束，不能再开团。",
        ),
        "unknown_group": ("There is no such group.", "没有这个团。"),
        "group_not_open": ("The leader has not paid yet.", "团长还未付款，暂时不能参团。"),
        "group_over": ("The time of this group is over.", "这个团已结束。"),
        "group_full": (
            "All seats of this group are taken; open one of your own.",
            "这个团已满员，可以自己开团。",
        ),
        "already_in_group": ("You are in this group already.", "您已经在这个团里。"),
        "group_in_progress": (
            "You are in another group of this group-buy that is not over.",
            "您还有进行中的团，结束后才能再参加。",
        ),
        "not_new": (
            "Only new customers may join; open a group of your own instead.",
            "仅限新用户参团，您可以自己开团。",
        ),
        "order_limit": ("This is more than one order may have.", "超过每单限购数量。"),
        "account_limit": ("This is more than you may have in this group-buy.", "超过每人限购数量。"),
        "quota_sold_out": ("There is not enough left for this group-buy.", "拼团名额不足。"),
        "no_saving": ("The price is no higher without a group.", "单独购买的价格并不更高。"),
    }
)
