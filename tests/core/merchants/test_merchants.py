import random

import pytest

from core.deployment.runtime import Runtime
from core.kit.errors import Conflict, Invalid, NotFound
from core.kit.geo import Point
from core.kit.ids import MARKET_ID
from core.merchants import service
from core.merchants.schemas import Licence, MerchantIn, OwnerIn, ShopCard, ShopPatch
from core.types.scope import ANONYMOUS, PLATFORM, SYSTEM, merchant
from tests.core.catalog.shops import add_product, open_shop

HERE = Point(106.55, 29.56)


async def test_an_application_makes_merchant_owner_and_staff_and_is_not_public(runtime: Runtime) -> None:
    shop = await open_shop(runtime, approve=False)
    async with runtime.tx(SYSTEM) as tx:
        assert (await service.shop(tx, shop)).status == "applied"
        roles = await tx.fetchval(
            "select roles from staff s join account a on a.id = s.account_id where a.login = 'shop-a'"
        )
        assert roles == ["owner"]
    async with runtime.tx(ANONYMOUS) as tx:
        with pytest.raises(NotFound):
            await service.public_shop(tx, shop)
        assert (await service.public_shops(tx, None, None, None, 20)).items == []


@pytest.mark.parametrize(
    ("slug", "login", "code"), [("shop-a", "other", "slug_taken"), ("other", "shop-a", "login_taken")]
)
async def test_slug_and_login_are_taken_once(runtime: Runtime, slug: str, login: str, code: str) -> None:
    await open_shop(runtime)
    with pytest.raises(Conflict) as refusal:
        async with runtime.tx(SYSTEM) as tx:
            await service.apply(tx, MerchantIn("x", slug, OwnerIn(login, "long-enough")))
    assert refusal.value.code == code
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from merchant") == 1
        assert await tx.fetchval("select count(*) from account") == 1


async def test_states_change_only_along_their_way(runtime: Runtime) -> None:
    shop = await open_shop(runtime, approve=False)
    async with runtime.tx(PLATFORM) as tx:
        for wrong in (service.reopen(tx, shop), service.suspend(tx, shop, "")):
            with pytest.raises(Conflict, match="is applied") as refusal:
                await wrong
            assert refusal.value.code == "wrong_state"
        assert (await service.approve(tx, shop)).opened_at is not None
        with pytest.raises(Conflict, match="is open"):
            await service.approve(tx, shop)
        suspended = await service.suspend(tx, shop, "证照过期")
        assert (suspended.status, suspended.suspended_reason) == ("suspended", "证照过期")
        assert (await service.reopen(tx, shop)).suspended_reason is None
        with pytest.raises(NotFound):
            await service.approve(tx, MARKET_ID)


async def test_shops_near_come_nearest_first_with_their_distance(runtime: Runtime) -> None:
    for n, slug in enumerate(("far-away", "close-by", "nowhere")):
        await open_shop(runtime, slug, None if n == 2 else Point(106.55 + (0.1, 0.01)[n], 29.56))
    async with runtime.tx(ANONYMOUS) as tx:
        first = await service.public_shops(tx, "106.55,29.56", None, None, 1)
        second = await service.public_shops(tx, "106.55,29.56", None, first.next_cursor, 1)
        every = await service.public_shops(tx, None, None, None, 20)
        named = await service.public_shops(tx, None, "close", None, 20)
    assert [card.slug for card in (*first.items, *second.items)] == ["close-by", "far-away"]
    assert 900 < (first.items[0].distance_m or 0) < 1000
    assert second.next_cursor is None
    assert [card.slug for card in every.items] == ["nowhere", "close-by", "far-away"]
    assert [card.slug for card in named.items] == ["close-by"]


@pytest.mark.parametrize("seed", range(3))
async def test_all_pages_of_shops_near_are_in_the_order_of_the_distance_shown(
    runtime: Runtime, seed: int
) -> None:
    chance = random.Random(seed)
    lngs, lats = ([around + chance.uniform(-0.5, 0.5) for _ in range(300)] for around in (106.55, 29.56))
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            """insert into merchant (id, slug, name, status, location, created_at)
            select md5(n::text)::uuid, 'shop-' || n, 'shop', 'open', point(x, y), now()
            from unnest($1::float8[], $2::float8[]) with ordinality p(x, y, n)""",
            lngs + lngs[:30], lats + lats[:30],
        )  # fmt: skip
    found: list[ShopCard] = []
    cursor = None
    async with runtime.tx(ANONYMOUS) as tx:
        while not found or cursor is not None:
            page = await service.public_shops(tx, "106.55,29.56", None, cursor, 37)
            found += page.items
            cursor = page.next_cursor
    apart = [card.distance_m or 0 for card in found]
    assert apart == sorted(apart)
    assert len(found) == len({card.id for card in found}) == 330


async def test_a_shop_changes_itself_and_only_itself(runtime: Runtime) -> None:
    shop, other = await open_shop(runtime), await open_shop(runtime, "shop-b")
    await add_product(runtime, shop)
    patch = ShopPatch(
        name=" 新\x00名 ", location=HERE, licence=Licence("公司", "91500"), image_url="https://a/b"
    )
    async with runtime.tx(merchant(shop)) as tx:
        await service.change(tx, shop, patch)
        with pytest.raises(NotFound):
            await service.change(tx, other, ShopPatch(about="x"))
        with pytest.raises(Invalid):
            await service.change(tx, shop, ShopPatch(image_url="http://a/b"))
    async with runtime.tx(ANONYMOUS) as tx:
        page = await service.public_shop(tx, shop)
        assert (page.name, page.location, page.licence.number) == ("新名", HERE, "91500")
        assert await tx.fetchval("select location is not null and live from listing")
        assert [s.slug for s in (await service.public_shops(tx, None, "新名", None, 20)).items] == ["shop-a"]
    async with runtime.tx(merchant(shop)) as tx:
        assert (await service.change(tx, shop, ShopPatch(location=None))).location is None


async def test_the_operator_lists_merchants_by_status(runtime: Runtime) -> None:
    await open_shop(runtime)
    await open_shop(runtime, "shop-b", approve=False)
    async with runtime.tx(PLATFORM) as tx:
        page = await service.listed(tx, None, None, 1)
        rest = await service.listed(tx, None, page.next_cursor, 1)
        assert [m.slug for m in (*page.items, *rest.items)] == ["shop-b", "shop-a"]
        assert [m.slug for m in (await service.listed(tx, "open", None, 20)).items] == ["shop-a"]
        with pytest.raises(Invalid):
            await service.listed(tx, "closed", None, 20)
