"""What products show of coupons to be claimed: the best of the shop and of the market, at no cost to a warm page."""

import random
import time
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.api import MARKET_ID, Badge, BadgePage, ShelfProduct, hookspecs, new_id, ref
from core.types import scope as scopes
from core.types.scope import SYSTEM
from plugins.coupons import badges
from plugins.coupons.badges import RememberedOffers, Shelf, offer
from plugins.coupons.rules import FREE_SHIPPING, Terms
from tests.support.coupon_use import template
from tests.support.pricing_model import shop, uid


def terms(kind: str = "amount", scope: str = "all", **more: Any) -> Terms:
    return Terms("券", kind, scope, **more)


def product(number: int = 1, price: int = 10_000, **more: Any) -> ShelfProduct:
    return ShelfProduct(shop(1), uid(number), price, **more)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (terms(threshold=10_000, amount=1000), "满100减10"),
        (terms(threshold=9950, amount=1250), "满99.50减12.50"),
        (terms(amount=500), "立减5元"),
        (terms("rate", rate_bp=1500), "8.5折"),
        (terms("rate", rate_bp=2000, threshold=20_000, cap=5000), "满200打8折"),
        (terms("rate", rate_bp=1), "9.999折"),
        (terms("rate", rate_bp=10_000), "免单"),
        (terms(FREE_SHIPPING), "包邮"),
        (terms(FREE_SHIPPING, threshold=5900), "满59包邮"),
        (terms(FREE_SHIPPING, cap=800), "运费减8"),
    ],
)
def test_a_badge_is_a_few_characters(made: Terms, text: str) -> None:
    assert badges.text(made) == text


def best(goods: ShelfProduct, *templates: Terms, issuer: UUID = MARKET_ID) -> str | None:
    found = Shelf(issuer, templates).best(goods)
    return found.text if found else None


def test_each_scope_finds_its_goods() -> None:
    goods = product(3, category_path=(uid(7), uid(8)), shop_category_ids=(uid(9),))
    for scope, mine, other in (
        ("products", ref(shop(1), uid(3)), ref(shop(1), uid(4))),
        ("categories", ref(uid(7)), ref(uid(9))),
        ("shop_categories", ref(shop(1), uid(9)), ref(shop(1), uid(7))),
        ("merchants", ref(shop(1)), ref(shop(2))),
    ):
        assert best(goods, terms(scope=scope, ids=(other, mine), amount=100)) == "立减1元"
        assert best(goods, terms(scope=scope, ids=(other,), amount=100)) is None
    assert best(goods, terms(amount=100)) == "立减1元"
    assert best(goods) is None


def test_the_best_takes_most_off_one_piece_and_else_the_nearest_threshold_is_shown() -> None:
    ladder = [terms(threshold=t, amount=t // 10) for t in (5_000, 10_000, 20_000)]
    assert best(product(price=4_000), *ladder) == "满50减5"
    assert best(product(price=9_999), *ladder) == "满50减5"
    assert best(product(price=50_000), *ladder) == "满200减20"
    # 15 % is more than 5 yuan from 33.34 yuan on.
    either = [terms(amount=500), terms("rate", rate_bp=1500)]
    assert best(product(price=3_300), *either) == "立减5元"
    assert best(product(price=3_400), *either) == "8.5折"
    assert best(product(price=100_000), terms("rate", rate_bp=1500, cap=400), either[0]) == "立减5元"
    assert best(product(), terms(FREE_SHIPPING), terms(amount=1, threshold=20_000)) == "包邮"
    assert best(product(), terms(FREE_SHIPPING), terms(amount=100)) == "立减1元"


_TERMS = st.builds(
    Terms,
    name=st.just("券"),
    kind=st.sampled_from(["amount", "rate", FREE_SHIPPING]),
    scope=st.just("all"),
    threshold=st.integers(0, 20),
    amount=st.integers(1, 20),
    rate_bp=st.integers(1, 10_000),
    cap=st.none() | st.integers(1, 20),
)


@given(st.lists(_TERMS, min_size=1, max_size=12), st.integers(0, 40))
def test_leaving_out_what_can_never_be_best_changes_nothing(templates: list[Terms], price: int) -> None:
    offers = [offer(t, of_market=True) for t in templates]
    found = Shelf(MARKET_ID, templates).best(product(price=price))
    assert found is not None
    assert found.worth(price) == max(o.worth(price) for o in offers)
    if found.worth(price) == 0:
        assert found.threshold == min(o.threshold for o in offers)


async def shown(runtime: Any, *goods: ShelfProduct) -> tuple[list[Badge], int]:
    """(badges, statements) of one page, for somebody signed in."""
    me = new_id()
    async with runtime.tx(scopes.buyer(me)) as tx:
        await tx.fetchval("select 1")
        before = tx.statements
        hook = dict(tx.hooks.of(hookspecs.product_badges))["coupons"]
        return list(await hook(tx, BadgePage(goods, me))), tx.statements - before


async def test_a_cold_page_takes_one_statement_and_a_warm_one_none(runtime: Any) -> None:
    goods = [ShelfProduct(new_id(), new_id(), 10_000) for _ in range(20)]
    for one in goods[:3]:
        await template(runtime, one.merchant_id, amount=1000, threshold=10_000)
    await template(runtime, kind="rate", rate_bp=500, amount=0)
    await template(runtime, kind="rate", rate_bp=1500, amount=0)
    found, statements = await shown(runtime, *goods)
    assert statements == 1
    assert len(found) == 23
    assert [(b.product_id, b.kind, b.text, b.plugin) for b in found[:3]] == [
        (goods[0].product_id, "coupons.shop", "满100减10", "coupons"),
        (goods[0].product_id, "coupons.market", "8.5折", "coupons"),
        (goods[1].product_id, "coupons.shop", "满100减10", "coupons"),
    ]
    assert await shown(runtime, *goods) == (found, 0)
    # Another shop on the page: its offers are asked for, those of the others are known.
    assert (await shown(runtime, *goods, product()))[1] == 1


async def test_anybody_sees_badges_without_a_transaction(runtime: Any) -> None:
    await template(runtime)
    async with runtime.tx(scopes.ANONYMOUS) as tx:
        hook = dict(tx.hooks.of(hookspecs.product_badges))["coupons"]
        assert len(await hook(tx, BadgePage((product(),)))) == 1


@pytest.mark.parametrize(
    "change",
    [
        "status = 'closed'",
        "status = 'void'",
        "claim = 'code'",
        "claimed = total",
        "valid_to = now()",
        "claim_to = now()",
        "claim_from = now() + interval '1 day'",
    ],
)
async def test_what_cannot_be_claimed_is_not_shown(runtime: Any, change: str) -> None:
    key = await template(runtime)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(f"update coupons_template set {change} where id = $1", key[1])
    assert await shown(runtime, product()) == ([], 1)


async def test_what_is_remembered_is_read_again_after_five_seconds(runtime: Any) -> None:
    now = [100.0]
    remembered = RememberedOffers(lambda: now[0])
    page = BadgePage((product(),))
    texts = []
    for step, amount in ((0.0, 100), (4.9, 200), (0.2, 300)):
        now[0] += step
        await template(runtime, amount=amount)
        async with runtime.tx(SYSTEM) as tx:
            texts.append([b.text for b in await badges.badges(tx, page, remembered)])
    assert texts == [["立减1元"], ["立减1元"], ["立减3元"]]


async def test_no_more_issuers_are_remembered_than_there_is_room_for(
    runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(badges, "MOST_ISSUERS", 3)
    remembered = RememberedOffers()
    async with runtime.tx(SYSTEM) as tx:
        for _ in range(5):
            await remembered.of(tx, {MARKET_ID, new_id(), new_id()})
            assert len(remembered._kept) <= 3


def test_a_thousand_templates_are_matched_quickly() -> None:
    """A page of 50 with 1,000 templates of all sorts; without the index it would be 50,000 comparisons."""
    dice = random.Random(5)
    some = []
    for n in range(1000):
        scope, ids = dice.choice(
            [
                ("all", ()),
                ("products", tuple(ref(shop(1), uid(dice.randrange(500))) for _ in range(50))),
                ("categories", tuple(ref(uid(dice.randrange(100))) for _ in range(5))),
                ("merchants", (ref(shop(n)),)),
            ]
        )
        kind = dice.choice(["amount", "rate", FREE_SHIPPING])
        cap = dice.choice([None, dice.randrange(1, 9999)])
        some.append(
            terms(kind, scope, ids=ids, threshold=dice.randrange(50_000), amount=dice.randrange(1, 9999),
                  rate_bp=dice.randrange(1, 9999), cap=cap)
        )  # fmt: skip
    shelf = Shelf(MARKET_ID, some)
    page = [product(n, dice.randrange(60_000), category_path=(uid(n % 100),)) for n in range(50)]
    began = time.process_time()
    found = [shelf.best(goods) for goods in page]
    assert time.process_time() - began < 0.05
    assert None not in found
