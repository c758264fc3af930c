"""Why a promotion does not apply, in English and Chinese. Pure."""

from core.api import Refusals, Refused, format_yuan

refused = Refusals(
    {
        "threshold": ("The goods it is meant for are {it} yuan short.", "还差 {it} 元可享此优惠。"),
        "count_short": ("The goods it is meant for are {it} short in number.", "还差 {it} 件可享此优惠。"),
        "no_matching_goods": ("None of the goods are meant by this promotion.", "所选商品都不参加此活动。"),
        "nothing_left": ("The goods cost no more than that already.", "当前价格已不高于活动价。"),
        "no_freight": ("There is no freight left to take off.", "没有需要支付的运费。"),
        "promotion_limit": (
            "You have used this promotion as often as one account may.",
            "您已达到此活动的参与上限。",
        ),
        "promotion_sold_out": ("Nothing is left of this promotion.", "此活动的名额已用完。"),
        "gift_gone": ("The gifts are all given away.", "赠品已送完。"),
    },
    codes={"no_freight": "nothing_left"},
)


def short_of(missing: int, *, amount: bool) -> Refused:
    """So much is missing: fen, or pieces."""
    if amount:
        return refused("threshold", format_yuan(missing), missing)
    return refused("count_short", str(missing))
