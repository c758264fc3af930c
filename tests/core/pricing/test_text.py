"""A quote in words, so that a person can follow every fen."""

import re
import string
from typing import Any, get_args

import pytest

from core.kit.ids import ref
from core.pricing import text, words
from core.pricing.engine import quote
from core.pricing.text import Language, tell
from core.types.pricing import FlatFee, Phase, Problem, Quote, Refused, ShippingOption
from tests.support.pricing_model import MATRIX, FreeShipping, Gives, Says, basket, line, off, shop

NAMES = {ref(shop(1)): "山城火锅", ref(shop(2)): "南山果园"}


@pytest.fixture
def priced() -> Quote:
    """Two shops, a coupon each way, one beaten, one refused, a gift, freight taken off, a problem."""
    short = Refused("threshold", "35.00 yuan short.", 3500, "还差 35.00 元。")
    return quote(
        basket(line(1, 1, 6000, 2, title="底料", specs=("500g",)), line(2, 3, 5000, title="脐橙")),
        [
            off("五元券", "shop_coupon", 500, 1),
            off("三元券", "shop_coupon", 300, 1),
            off("全场券", "market_coupon", 1000, merchant_bp=3000),
            Says(plugin="p", id="r", kind="market_coupon", label="大额券", answer=short),
            Gives(plugin="p", id="g", kind="promo", label="赠勺子", merchant_id=shop(1), gift=line(1, 9, 100, title="勺子")),
            FreeShipping(plugin="p", id="f", kind="freight", label="包邮", amount=800, merchant_bp=0),
        ],
        [ShippingOption(shop(n), "x:a", "express", "快递", FlatFee(800)) for n in (1, 2)],
        MATRIX,
        [Problem("out_of_stock", "Only 1 left.", zh="仅剩 1 件。")],
    )  # fmt: skip


def test_every_line_of_a_quote_is_told_with_what_came_off_and_who_bears_it(priced: Quote) -> None:
    told = tell(priced, NAMES, "en")
    assert (
        "Shop 山城火锅\n  底料 (500g)  60.00 × 2 = 120.00\n    - 5.00  五元券 (borne by the shop)\n" in told
    )
    assert "    - 6.97  全场券 (the market bears 4.88, the shop 2.09)\n    = 108.03\n" in told
    assert "  勺子 × 1, a gift\n" in told
    assert "  Shipping, 快递: 8.00\n    - 8.00  包邮 (borne by the market)\n    = 0.00\n" in told
    assert "In all: 170.00 goods - 15.00 discounts + 0.00 shipping = 155.00 to pay" in told
    assert "  [shop promotion] 赠勺子: a gift" in told
    assert "  [market coupon] 大额券: 35.00 yuan short." in told
    assert "Alone it would have been 3.00 off." in told
    assert told.endswith("Not in the price\n  Only 1 left.")


def test_the_same_in_chinese(priced: Quote) -> None:
    told = tell(priced, NAMES, "zh")
    assert "    - 6.97  全场券（平台承担 4.88，商家承担 2.09）\n    = 108.03\n" in told
    assert "合计：商品 170.00 - 优惠 15.00 + 运费 0.00 = 应付 155.00" in told
    assert "  [平台券] 大额券：还差 35.00 元。" in told
    assert told.endswith("未计入价格\n  仅剩 1 件。")
    assert "  [店铺券] 三元券：同类优惠“五元券”更划算或优先。单独使用可减 3.00。" in told


def test_the_numbers_told_add_up(priced: Quote) -> None:
    yuan = [float(n) for n in re.findall(r"^    - (\d+\.\d\d)", tell(priced, NAMES, "en"), re.MULTILINE)]
    freight = sum(a.amount for m in priced.merchants for a in m.shipping_adjustments)
    assert round(sum(yuan) * 100) == priced.discount_amount + freight


def _places(template: str) -> set[Any]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def test_both_languages_say_the_same() -> None:
    assert text._EN.keys() == text._ZH.keys()
    for key, template in text._EN.items():
        assert _places(template) == _places(text._ZH[key]), key
    for name, (english, chinese) in words.WORDS.items():
        assert english, name
        assert re.search("[一-鿿]", chinese), name


@pytest.mark.parametrize("language", get_args(Language))
def test_every_phase_has_a_name(language: Language) -> None:
    known = text._EN if language == "en" else text._ZH
    assert {phase.name.lower() for phase in Phase} - {"shipping"} <= known.keys()
