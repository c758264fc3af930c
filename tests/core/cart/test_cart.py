"""The cart over HTTP: what it holds, what it says about lines that cannot be bought, and what it costs."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from core.cart import service
from core.cart.schemas import MAX_CART_LINES, CartLineIn, QuoteRequest, WantedLine
from core.kit.ids import new_id, ref
from core.types import scope as scopes
from core.types.scope import SYSTEM, Audience
from tests.support.placed_orders import bearer
from tests.support.shelves import change, put_on_sale

CART = "/api/shop/cart"


class Buyer:
    """Somebody with a cart."""

    def __init__(self, client: httpx.AsyncClient, account_id: UUID, headers: dict[str, str]) -> None:
        self.client, self.account_id, self.headers = client, account_id, headers

    async def call(self, method: str, path: str, status: int = 200, **kwargs: Any) -> Any:
        answer = await self.client.request(method, path, headers=self.headers, **kwargs)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def put(self, sku: str, quantity: int, status: int = 200, **more: Any) -> Any:
        return await self.call("PUT", f"{CART}/lines/{sku}", status, json={"quantity": quantity, **more})

    async def cart(self) -> Any:
        return await self.call("GET", CART)

    async def quote(self, status: int = 200, **body: Any) -> Any:
        return await self.call("POST", "/api/shop/quote", status, json=body)


async def somebody(runtime: Any, client: httpx.AsyncClient) -> Buyer:
    account_id = new_id()
    return Buyer(client, account_id, await bearer(runtime, Audience.SHOP, account_id))


@pytest.fixture
async def buyer(runtime: Any, client: httpx.AsyncClient) -> Buyer:
    return await somebody(runtime, client)


def lines(cart: Any) -> dict[str, Any]:
    return {line["sku_id"]: line for shop in cart["shops"] for line in shop["lines"]}


async def test_a_cart_is_grouped_by_shop_and_priced(runtime: Any, buyer: Buyer) -> None:
    bowl = await put_on_sale(runtime, price=1200)
    plate = await put_on_sale(runtime, merchant_id=bowl.merchant_id, price=300)
    peach = await put_on_sale(runtime, price=990, shop="南山果园")
    for article, quantity in ((bowl, 2), (peach, 1), (plate, 1)):
        cart = await buyer.put(article.ref, quantity)
    assert cart == await buyer.cart()
    assert [(s["merchant"]["name"], len(s["lines"])) for s in cart["shops"]] == [
        ("荣昌陶", 2),
        ("南山果园", 1),
    ]
    line = lines(cart)[bowl.ref]
    assert line == {
        "sku_id": bowl.ref, "product_id": ref(bowl.merchant_id, bowl.product_id), "title": "青花碗", "specs": ["白"],
        "quantity": 2, "selected": True, "price": 1200, "image_url": None, "available": 100,
    }  # fmt: skip
    assert cart["quote"]["goods_amount"] == 2 * 1200 + 300 + 990
    quote = cart["quote"]
    assert quote["payable"] == quote["goods_amount"] - quote["discount_amount"] + quote["shipping_amount"]


async def test_quantity_zero_removes_and_setting_again_replaces(runtime: Any, buyer: Buyer) -> None:
    bowl, plate = await put_on_sale(runtime), await put_on_sale(runtime)
    await buyer.put(bowl.ref, 2)
    await buyer.put(plate.ref, 1)
    assert lines(await buyer.put(bowl.ref, 5))[bowl.ref]["quantity"] == 5
    left = await buyer.put(bowl.ref, 0)
    assert list(lines(left)) == [plate.ref]
    assert await buyer.cart() == left


async def test_what_is_not_selected_is_not_priced(runtime: Any, buyer: Buyer) -> None:
    bowl, plate = await put_on_sale(runtime, price=100), await put_on_sale(runtime, price=7)
    await buyer.put(bowl.ref, 1, selected=False)
    cart = await buyer.put(plate.ref, 1)
    assert cart["quote"]["goods_amount"] == 7
    assert (await buyer.put(bowl.ref, 3))["quote"]["goods_amount"] == 7
    every = await buyer.call("POST", f"{CART}/lines/select", json={"selected": True})
    assert every["quote"]["goods_amount"] == 307
    some = await buyer.call("POST", f"{CART}/lines/select", json={"selected": False, "sku_ids": [plate.ref]})
    assert some["quote"]["goods_amount"] == 300


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"unavailable": "delisted"}, "delisted"),
        ({"unavailable": "shop_closed"}, "shop_closed"),
        ({"stock": 1}, "out_of_stock"),
    ],
)
async def test_a_line_that_cannot_be_bought_is_kept_with_its_problem(
    runtime: Any, buyer: Buyer, facts: dict[str, Any], code: str
) -> None:
    bad, good = await put_on_sale(runtime, price=1000, **facts), await put_on_sale(runtime, price=50)
    await buyer.put(good.ref, 1)
    cart = await buyer.put(bad.ref, 2)
    problem = lines(cart)[bad.ref]["problem"]
    assert (problem["code"], problem["sku_id"], problem["merchant_id"]) == (
        code,
        bad.ref,
        ref(bad.merchant_id),
    )
    assert "problem" not in lines(cart)[good.ref]
    assert cart["quote"]["goods_amount"] == 50
    assert [p["code"] for p in cart["quote"]["problems"]] == [code]
    assert lines(await buyer.call("DELETE", f"{CART}/invalid")).keys() == {good.ref}


async def test_an_article_that_vanished_is_gone(runtime: Any, buyer: Buyer) -> None:
    bowl = await put_on_sale(runtime)
    await buyer.put(bowl.ref, 1)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("delete from listing_sku where merchant_id = $1", bowl.merchant_id)
    cart = await buyer.cart()
    assert lines(cart)[bowl.ref]["problem"]["code"] == "gone"
    assert (cart["quote"]["payable"], cart["quote"]["merchants"]) == (0, [])


async def test_a_price_change_since_adding_is_shown_and_does_not_block(runtime: Any, buyer: Buyer) -> None:
    bowl = await put_on_sale(runtime, price=1000)
    await buyer.put(bowl.ref, 1)
    await change(runtime, bowl, price=800)
    line = lines(await buyer.cart())[bowl.ref]
    assert (line["price"], line["price_seen"]) == (800, 1000)
    assert "problem" not in line


async def test_unknown_articles_are_not_found(runtime: Any, buyer: Buyer) -> None:
    for sku in (ref(new_id(), new_id()), ref(new_id()), "nonsense"):
        await buyer.put(sku, 1, status=404)
    await buyer.quote(status=404, lines=[{"sku_id": "nonsense", "quantity": 1}])
    quote = await buyer.quote(lines=[{"sku_id": ref(new_id(), new_id()), "quantity": 1}])
    assert [p["code"] for p in quote["problems"]] == ["gone"]


@pytest.mark.parametrize("quantity", [-1, 10_000, 1.5, None])
async def test_a_quantity_out_of_range_is_malformed(buyer: Buyer, quantity: Any) -> None:
    await buyer.put(ref(new_id(), new_id()), quantity, status=422)


async def test_a_cart_is_its_owners_alone(runtime: Any, client: httpx.AsyncClient, buyer: Buyer) -> None:
    bowl = await put_on_sale(runtime)
    await buyer.put(bowl.ref, 1, source={"slot": "home"})
    other = await somebody(runtime, client)
    assert (await other.cart())["shops"] == []
    await other.put(bowl.ref, 0)
    assert len((await buyer.cart())["shops"]) == 1
    answer = await client.get(CART)
    assert answer.status_code == 401


async def test_a_full_cart_takes_no_more_but_lets_lines_change(runtime: Any, buyer: Buyer) -> None:
    bowl, extra = await put_on_sale(runtime), await put_on_sale(runtime)
    await buyer.put(bowl.ref, 1)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "insert into cart_line (account_id, merchant_id, sku_id, quantity, price_seen, added_at)"
            " select $1, $2, gen_random_uuid(), 1, 1, $3 from generate_series(2, $4::int)",
            buyer.account_id, bowl.merchant_id, tx.now, MAX_CART_LINES,
        )  # fmt: skip
    refused = await buyer.put(extra.ref, 1, status=409)
    assert refused["code"] == "cart_full"
    assert lines(await buyer.put(bowl.ref, 7))[bowl.ref]["quantity"] == 7
    too_many = await buyer.quote(status=409)
    assert too_many["code"] == "too_many_lines"


async def test_a_quote_prices_given_lines_and_merges_duplicates(runtime: Any, buyer: Buyer) -> None:
    bowl = await put_on_sale(runtime, price=100)
    twice = [{"sku_id": bowl.ref, "quantity": 1}, {"sku_id": bowl.ref, "quantity": 2}]
    quote = await buyer.quote(lines=twice)
    assert [(x["quantity"], x["amount"]) for x in quote["merchants"][0]["lines"]] == [(3, 300)]
    assert (await buyer.cart())["shops"] == []
    await buyer.quote(status=422, lines=[twice[0], twice[1] | {"options": {"flash_sale": {}}}])
    await buyer.quote(status=422, lines=[{"sku_id": bowl.ref, "quantity": 9999}] * 2)
    await buyer.quote(status=422, lines=[])
    await buyer.quote(status=422, lines=[twice[0]] * 101)


async def test_a_quote_goes_to_an_address_of_the_buyer(
    runtime: Any, client: httpx.AsyncClient, buyer: Buyer
) -> None:
    bowl = await put_on_sale(runtime)
    address = {"recipient": "王小明", "phone": "13812345678", "province": "重庆市", "city": "重庆市",
               "district": "南岸区", "street": "南坪西路 1 号", "is_default": True}  # fmt: skip
    mine = await buyer.call("POST", "/api/shop/addresses", 201, json=address)
    line = {"sku_id": bowl.ref, "quantity": 1}
    await buyer.quote(lines=[line], address_id=mine["id"])
    other = await somebody(runtime, client)
    await other.quote(status=404, lines=[line], address_id=mine["id"])
    await buyer.quote(status=404, lines=[line], address_id=ref(new_id()))


async def test_a_shipping_choice_that_is_gone_is_a_problem(runtime: Any, buyer: Buyer) -> None:
    bowl = await put_on_sale(runtime)
    shop = ref(bowl.merchant_id)
    quote = await buyer.quote(lines=[{"sku_id": bowl.ref, "quantity": 1}], shipping={shop: "drone:fast"})
    assert [p["code"] for p in quote["problems"]] == ["shipping_option_gone"]
    assert quote["merchants"][0]["shipping_options"][0]["selected"]


async def test_putting_a_line_takes_few_statements(runtime: Any) -> None:
    bowl, account_id = await put_on_sale(runtime), new_id()
    async with runtime.tx(scopes.buyer(account_id)) as tx:
        await service.put(tx, account_id, bowl.ref, CartLineIn(1))
        plugins = len(runtime.snapshot.hooks.of(_hook("price_rules"))) + len(
            runtime.snapshot.hooks.of(_hook("shipping_options"))
        )
        # BEGIN, one that writes and reads all, one for each load.
        assert tx.statements <= 2 + plugins


def _hook(name: str) -> Any:
    from core import hookspecs

    return getattr(hookspecs, name)


async def test_a_basket_is_loaded_in_the_system_scope_with_its_owners_lines_only(runtime: Any) -> None:
    bowl, mine, other = await put_on_sale(runtime), new_id(), new_id()
    for account_id, quantity in ((mine, 2), (other, 5)):
        async with runtime.tx(scopes.buyer(account_id)) as tx:
            await service.put(tx, account_id, bowl.ref, CartLineIn(quantity, source={"slot": str(quantity)}))
    async with runtime.tx(SYSTEM) as tx:
        cart = await service.to_basket(tx, mine, QuoteRequest())
        given = await service.to_basket(tx, mine, QuoteRequest(lines=[WantedLine(bowl.ref, 3)]))
    assert [line.quantity for line in cart.basket.lines] == [2]
    assert [(line.quantity, line.source) for line in given.basket.lines] == [(3, {"slot": "2"})]
    assert given.names == {bowl.merchant_id: "荣昌陶"}
