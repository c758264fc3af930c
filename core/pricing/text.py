"""A quote told to a person: every line, every fen that came off it, who bears it, and why the rest did not apply."""

from collections.abc import Iterable, Mapping
from typing import Literal

from core.kit.money import format_yuan
from core.types.pricing import Adjustment, Explanation, Problem, Quote, QuoteLine, QuoteMerchant

Language = Literal["en", "zh"]

_EN = {
    "shop": "Shop {0}",
    "gift": "{0} × {1}, a gift",
    "line": "{0}  {1} × {2} = {3}",
    "off": "- {0}  {1} ({2})",
    "market": "borne by the market",
    "merchant": "borne by the shop",
    "both": "the market bears {0}, the shop {1}",
    "left": "= {0}",
    "shipping": "Shipping, {0}: {1}",
    "to_pay": "To pay here: {0} goods - {1} discounts + {2} shipping = {3}",
    "total": "In all: {0} goods - {1} discounts + {2} shipping = {3} to pay",
    "problems": "Not in the price",
    "applied": "What applied",
    "not_applied": "What did not apply",
    "took": "[{0}] {1}: {2} off",
    "gave": "[{0}] {1}: a gift",
    "beaten": "[{0}] {1}: {2} Alone it would have been {3} off.",
    "refused": "[{0}] {1}: {2}",
    "none": "nothing",
    "item_price": "item price",
    "item_promotion": "item promotion",
    "shop_promotion": "shop promotion",
    "market_promotion": "market promotion",
    "shop_coupon": "shop coupon",
    "market_coupon": "market coupon",
    "shipping_phase": "shipping",
    "shipping_discount": "shipping discount",
    "points": "points",
    "": "rule",
}
_ZH = {
    "shop": "店铺 {0}",
    "gift": "{0} × {1}（赠品）",
    "line": "{0}  {1} × {2} = {3}",
    "off": "- {0}  {1}（{2}）",
    "market": "平台承担",
    "merchant": "商家承担",
    "both": "平台承担 {0}，商家承担 {1}",
    "left": "= {0}",
    "shipping": "运费（{0}）：{1}",
    "to_pay": "本店应付：商品 {0} - 优惠 {1} + 运费 {2} = {3}",
    "total": "合计：商品 {0} - 优惠 {1} + 运费 {2} = 应付 {3}",
    "problems": "未计入价格",
    "applied": "已使用的优惠",
    "not_applied": "未使用的优惠",
    "took": "[{0}] {1}：已减 {2}",
    "gave": "[{0}] {1}：赠品",
    "beaten": "[{0}] {1}：{2}单独使用可减 {3}。",
    "refused": "[{0}] {1}：{2}",
    "none": "无",
    "item_price": "商品价",
    "item_promotion": "商品促销",
    "shop_promotion": "店铺促销",
    "market_promotion": "平台促销",
    "shop_coupon": "店铺券",
    "market_coupon": "平台券",
    "shipping_phase": "运费",
    "shipping_discount": "运费优惠",
    "points": "积分",
    "": "规则",
}


def tell(quote: Quote, names: Mapping[str, str], language: Language = "en") -> str:
    """The quote in words, amounts in yuan; `names` are the shops' names by merchant id."""
    return "\n".join(_Teller(language).all(quote, names))


class _Teller:
    def __init__(self, language: Language) -> None:
        self._chinese = language == "zh"
        self._words = _ZH if self._chinese else _EN

    def all(self, quote: Quote, names: Mapping[str, str]) -> Iterable[str]:
        for part in quote.merchants:
            yield from self._shop(part, names.get(part.merchant_id, part.merchant_id))
            yield ""
        yield self._sum("total", quote)
        applied = [e for e in quote.explain if e.outcome == "applied"]
        yield from self._list("applied", [self._applied(e) for e in applied])
        yield from self._list("not_applied", [self._not(e) for e in quote.explain if e.outcome != "applied"])
        if quote.problems:
            yield from self._list("problems", [self._problem(p) for p in quote.problems])

    def _say(self, word: str, *values: object) -> str:
        return self._words[word].format(*values)

    def _shop(self, part: QuoteMerchant, name: str) -> Iterable[str]:
        yield self._say("shop", name)
        for line in part.lines:
            yield from self._line(line)
        way = next((o for o in part.shipping_options if o.selected), None)
        if way is not None:
            yield "  " + self._say("shipping", way.name, format_yuan(way.fee))
            yield from self._cuts(part.shipping_adjustments, part.shipping_amount)
        yield "  " + self._sum("to_pay", part)

    def _line(self, line: QuoteLine) -> Iterable[str]:
        title = f"{line.title} ({', '.join(line.specs)})" if line.specs else line.title
        if line.kind == "gift":
            yield "  " + self._say("gift", title, line.quantity)
            return
        yield "  " + self._say(
            "line", title, format_yuan(line.unit_price), line.quantity, format_yuan(line.amount)
        )
        yield from self._cuts(line.adjustments, line.payable)

    def _cuts(self, cuts: Iterable[Adjustment], left: int) -> Iterable[str]:
        cuts = tuple(cuts)
        for cut in cuts:
            yield "    " + self._say("off", format_yuan(cut.amount), cut.label or cut.kind, self._bearer(cut))
        if cuts:
            yield "    " + self._say("left", format_yuan(left))

    def _bearer(self, cut: Adjustment) -> str:
        market, merchant = cut.bearer.market, cut.bearer.merchant
        if market and merchant:
            return self._say("both", format_yuan(market), format_yuan(merchant))
        return self._say("market" if market else "merchant")

    def _sum(self, word: str, of: Quote | QuoteMerchant) -> str:
        amounts = (of.goods_amount, of.discount_amount, of.shipping_amount, of.payable)
        return self._say(word, *[format_yuan(amount) for amount in amounts])

    def _list(self, word: str, items: list[str]) -> Iterable[str]:
        yield ""
        yield self._say(word)
        yield from [f"  {item}" for item in items or [self._say("none")]]

    def _applied(self, e: Explanation) -> str:
        text = self._say("took" if e.amount else "gave", *self._whose(e), format_yuan(e.amount))
        note = self._reason(e)
        return f"{text} {note}".rstrip()

    def _not(self, e: Explanation) -> str:
        if e.outcome == "beaten":
            return self._say("beaten", *self._whose(e), self._reason(e), format_yuan(e.amount))
        return self._say("refused", *self._whose(e), self._reason(e))

    def _whose(self, e: Explanation) -> tuple[str, str]:
        phase = "shipping_phase" if e.phase == "shipping" else e.phase
        return self._say(phase), e.label or e.rule or e.plugin

    def _reason(self, e: Explanation) -> str:
        return (e.reason_zh or e.reason) if self._chinese else e.reason

    def _problem(self, problem: Problem) -> str:
        return (problem.zh or problem.detail) if self._chinese else problem.detail
