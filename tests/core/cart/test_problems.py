"""Lines that cannot be bought as they stand say why, and count in no total; what the account holds comes along."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from core.cart import service
from core.cart.schemas import QuoteRequest, WantedLine
from core.kit.ids import new_id, ref
from core.types import scope as scopes
from core.types.scope import SYSTEM
from tests.core.cart.carts import Asked, hold, lines, only, put, show
from tests.support.market import Session, a_buyer, add_product, open_shop
from tests.support.shelves import change, put_on_sale


async def test_a_basket_names_the_plugins_of_which_the_buyer_holds_something(runtime: Any) -> None:
    bowl, me, other = await put_on_sale(runtime), new_id(), new_id()
    now = runtime.clock()
    await hold(runtime, me, "coupons")
    await hold(runtime, me, "points", now + timedelta(hours=1))
    await hold(runtime, me, "gone", now - timedelta(seconds=1))
    await hold(runtime, other, "others")
    asked = Asked()
    only(runtime, asked)
    await put(runtime, me, bowl.ref)
    await show(runtime, me)
    async with runtime.tx(scopes.buyer(me)) as tx:
        await service.quote(tx, me, QuoteRequest(lines=[WantedLine(bowl.ref, 1)]))
    assert [set(basket.holdings) for basket in asked.baskets] == [{"coupons", "points"}] * 3
    async with runtime.tx(SYSTEM) as tx:
        for request in (QuoteRequest(), QuoteRequest(lines=[WantedLine(bowl.ref, 1)])):
            for to_order in (False, True):
                before = tx.statements
                loaded = await service.to_basket(tx, me, request, to_order=to_order)
                assert loaded.basket.holdings == {"coupons", "points"}
                assert tx.statements - max(before, 1) == 1
    assert (await put(runtime, me, bowl.ref, 0)).shops == []


async def test_who_holds_nothing_has_empty_hands(runtime: Any) -> None:
    bowl, me = await put_on_sale(runtime), new_id()
    async with runtime.tx(scopes.buyer(me)) as tx:
        request = QuoteRequest(lines=[WantedLine(bowl.ref, 1)])
        assert (await service.to_basket(tx, me, request)).basket.holdings == frozenset()
        # BEGIN and one that reads lines, address and holdings.
        assert tx.statements == 2


@pytest.mark.parametrize(
    ("bounds", "stock", "quantity", "code", "detail"),
    [
        ((3, None), 100, 2, "below_minimum", "Buy at least 3."),
        ((1, 2), 100, 3, "above_maximum", "At most 2 in one purchase."),
        ((1, 2), 1, 3, "above_maximum", "At most 2 in one purchase."),
        ((3, None), 2, 2, "out_of_stock", "Only 2 left, and 3 is the least one can buy."),
        ((3, 5), 4, 5, "out_of_stock", "Only 4 left."),
        ((3, 5), 100, 3, None, None),
        ((3, 5), 100, 5, None, None),
    ],
)
async def test_quantities_out_of_bounds_are_problems(
    runtime: Any, bounds: tuple[int, int | None], stock: int, quantity: int, code: str, detail: str
) -> None:
    bowl, me = await put_on_sale(runtime, price=100, stock=stock), new_id()
    await change(runtime, bowl, min_quantity=bounds[0], max_quantity=bounds[1])
    cart = await put(runtime, me, bowl.ref, quantity)
    problem = lines(cart)[bowl.ref].problem
    async with runtime.tx(scopes.buyer(me)) as tx:
        quote = await service.quote(tx, me, QuoteRequest(lines=[WantedLine(bowl.ref, quantity)]))
    if code is None:
        assert (problem, cart.quote.problems, quote.problems) == (service.UNSET, (), ())
        assert quote.goods_amount == cart.quote.goods_amount == quantity * 100
        return
    assert problem
    assert (problem.code, problem.detail, problem.sku_id) == (code, detail, bowl.ref)
    assert cart.quote.problems == quote.problems == (problem,)
    assert quote.goods_amount == cart.quote.goods_amount == 0
    async with runtime.tx(scopes.buyer(me)) as tx:
        assert (await service.clear_invalid(tx, me)).shops == []


async def test_two_lines_of_one_article_count_together_against_its_bound(runtime: Any) -> None:
    bowl, me = await put_on_sale(runtime), new_id()
    await change(runtime, bowl, max_quantity=3)
    async with runtime.tx(scopes.buyer(me)) as tx:
        quote = await service.quote(tx, me, QuoteRequest(lines=[WantedLine(bowl.ref, 2)] * 2))
    assert [p.code for p in quote.problems] == ["above_maximum"]


async def test_bounds_are_shown_with_the_line_when_there_are_any(runtime: Any) -> None:
    bowl, plate, me = await put_on_sale(runtime), await put_on_sale(runtime), new_id()
    await change(runtime, bowl, min_quantity=2, max_quantity=4)
    await put(runtime, me, bowl.ref, 2)
    shown = lines(await put(runtime, me, plate.ref, 1))
    assert (shown[bowl.ref].min_quantity, shown[bowl.ref].max_quantity) == (2, 4)
    assert (shown[plate.ref].min_quantity, shown[plate.ref].max_quantity) == (service.UNSET,) * 2


async def test_checkout_refuses_what_is_out_of_bounds(runtime: Any, client: httpx.AsyncClient) -> None:
    shop = await open_shop(runtime, "shop")
    sku = await add_product(runtime, shop)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update listing_sku set min_quantity = 3")
    buyer = Session(client, runtime, await a_buyer(runtime))
    refused = await buyer.checkout((sku, 1))
    assert (refused.status_code, refused.json()["code"]) == (409, "not_purchasable")
    assert [p["code"] for p in refused.json()["problems"]] == ["below_minimum"]
    assert (await buyer.checkout((sku, 3))).status_code == 201


async def test_what_a_shop_does_not_deliver_says_so_on_each_line_and_counts_in_no_total(runtime: Any) -> None:
    near = await put_on_sale(runtime, price=1000)
    far = await put_on_sale(runtime, price=50)
    lesson = await put_on_sale(runtime, merchant_id=far.merchant_id, price=7, requires_shipping=False)
    later = await put_on_sale(runtime, merchant_id=far.merchant_id, price=3)
    asked, me = Asked(refuses=[far.merchant_id]), new_id()
    only(runtime, asked)
    for article in (near, far, lesson):
        await put(runtime, me, article.ref, 2)
    await put(runtime, me, later.ref, 1, selected=False)
    async with runtime.tx(scopes.buyer(me)) as tx:
        cart = await service.show(tx, me)
        # BEGIN and the cart; the plugin needs none, however often it is reckoned.
        assert tx.statements == 2
    found = lines(cart)
    assert [found[x.ref].problem for x in (near, lesson)] == [service.UNSET] * 2
    for article in (far, later):
        problem = found[article.ref].problem
        assert problem
        assert (problem.code, problem.sku_id, problem.merchant_id) == (
            "not_deliverable",
            article.ref,
            ref(far.merchant_id),
        )
    shops = {shop.merchant.id: shop.problem for shop in cart.shops}
    wrong = shops[ref(far.merchant_id)]
    assert wrong
    assert (wrong.code, wrong.sku_id) == ("not_deliverable", None)
    assert shops[ref(near.merchant_id)] is service.UNSET
    quote = cart.quote
    assert (quote.goods_amount, quote.shipping_amount, quote.payable) == (2014, 500, 2514)
    assert [p.code for p in quote.problems] == ["not_deliverable"]
    assert sum(part.payable for part in quote.merchants) == quote.payable
    # It may be sent elsewhere, so it is not swept out of the cart.
    async with runtime.tx(scopes.buyer(me)) as tx:
        assert len(lines(await service.clear_invalid(tx, me))) == 4
        again = await service.quote(tx, me, QuoteRequest(lines=[WantedLine(far.ref, 1)]))
    assert (again.payable, again.merchants, [p.code for p in again.problems]) == (0, (), ["not_deliverable"])


async def test_a_closed_shop_says_so_as_a_whole(runtime: Any) -> None:
    one, me = await put_on_sale(runtime, unavailable="shop_closed"), new_id()
    cart = await put(runtime, me, one.ref)
    problem = cart.shops[0].problem
    assert problem
    assert (problem.code, problem.merchant_id, problem.sku_id) == (
        "shop_closed",
        ref(one.merchant_id),
        None,
    )


async def test_a_way_of_shipping_that_is_gone_keeps_the_quote_to_choose_from(runtime: Any) -> None:
    bowl, me = await put_on_sale(runtime, price=100), new_id()
    only(runtime, Asked())
    request = QuoteRequest(lines=[WantedLine(bowl.ref, 1)], shipping={ref(bowl.merchant_id): "drone:fast"})
    async with runtime.tx(scopes.buyer(me)) as tx:
        quote = await service.quote(tx, me, request)
    assert [p.code for p in quote.problems] == ["shipping_option_gone"]
    assert [o.key for o in quote.merchants[0].shipping_options] == ["asked:x"]


async def test_clearing_keeps_what_can_be_bought(runtime: Any) -> None:
    me = new_id()
    articles = {
        "good": await put_on_sale(runtime),
        "delisted": await put_on_sale(runtime, unavailable="delisted"),
        "closed": await put_on_sale(runtime, unavailable="shop_closed"),
        "sold out": await put_on_sale(runtime, stock=0),
        "too few": await put_on_sale(runtime),
        "too many": await put_on_sale(runtime),
        "gone": await put_on_sale(runtime),
        "not selected": await put_on_sale(runtime, unavailable="delisted"),
    }
    for name, article in articles.items():
        await put(runtime, me, article.ref, 2, selected=name != "not selected")
    await change(runtime, articles["too few"], min_quantity=3)
    await change(runtime, articles["too many"], max_quantity=1)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("delete from listing_sku where sku_id = $1", articles["gone"].sku_id)
    assert sum(line.problem is not service.UNSET for line in lines(await show(runtime, me)).values()) == 7
    async with runtime.tx(scopes.buyer(me)) as tx:
        assert set(lines(await service.clear_invalid(tx, me))) == {articles["good"].ref}
