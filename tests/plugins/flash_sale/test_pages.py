"""What buyers see of flash sales: badges, today's slots, one sale."""

from core.testkit import Market, TestClock
from core.testkit.counting import statements
from tests.support.flash_sales import choice, good, goods, market_sale, shop_sale


async def test_product_badges_tell_of_running_and_coming_sales(market: Market) -> None:
    _, [running, coming, none] = await goods(market, 3)
    activity = await shop_sale(market, running)
    later = await shop_sale(market, coming, starts=30, ends=60)
    await shop_sale(market, none, starts=60 * 30, ends=60 * 31)
    with statements() as seen:
        page = (await good(await market.client.get("/api/shop/products")))["items"]
    assert str(seen).count("flash_sale_slot") == 1
    badges = {p["id"]: p["badges"] for p in page}
    [badge] = badges[running.product]
    assert (badge["plugin"], badge["kind"], badge["price"]) == ("flash_sale", "flash_sale.price", 1000)
    assert (badge["text"], badge["activity_id"]) == ("秒杀价10元", activity)
    [badge] = badges[coming.product]
    assert (badge["kind"], badge.get("price"), badge["activity_id"]) == ("flash_sale.coming", None, later)
    assert badge["text"].endswith("秒杀价10元")
    assert badges[none.product] == []
    with statements() as seen:
        product = await good(await market.client.get(f"/api/shop/products/{running.product}"))
    assert [b["activity_id"] for b in product["badges"]] == [activity]
    assert "flash_sale" not in str(seen)


async def test_a_badge_ends_with_its_sale(market: Market, clock: TestClock) -> None:
    _, [article] = await goods(market)
    await shop_sale(market, article, ends=10)
    assert (await good(await market.client.get("/api/shop/products")))["items"][0]["badges"]
    clock.advance(minutes=10)
    assert not (await good(await market.client.get("/api/shop/products")))["items"][0]["badges"]


async def test_slots_of_today_show_roughly_what_is_left(market: Market, clock: TestClock) -> None:
    _, [article] = await goods(market)
    activity = await market_sale(market, article, event={"starts": 2, "ends": 5, "deadline": 1}, quantity=3)
    clock.advance(minutes=3)
    await good(await (await market.buyer()).checkout((article.ref, 1), options=choice(activity)))
    with statements() as seen:
        [sale] = await good(await market.client.get("/api/shop/flash_sale/slots"))
    assert len(seen) == 2
    assert (sale["activity_id"], sale["phase"], sale["name"]) == (activity, "running", "整点秒杀")
    [item] = sale["items"]
    assert (item["sku_id"], item["price"], item["normal_price"]) == (article.ref, 1000, 3000)
    assert (item["sold_percent"], item["sold_out"]) == (30, False)
    assert await good(await market.client.get(f"/api/shop/flash_sale/activities/{activity}")) == sale


async def test_slots_of_a_shop_are_its_own(market: Market) -> None:
    shop, [article] = await goods(market)
    activity = await shop_sale(market, article)
    assert await good(await market.client.get("/api/shop/flash_sale/slots")) == []
    mine = await good(await market.client.get(f"/api/shop/flash_sale/slots?merchant_id={shop.ref}"))
    assert [s["activity_id"] for s in mine] == [activity]
    assert (await market.client.get(f"/api/shop/flash_sale/activities/{article.ref}")).status_code == 404
