"""The market that a run happens in: its shops, goods, coupons and people."""

import asyncio
import random
from typing import Any, NamedTuple

from tests.stress.client import Caller, Person

PASSWORD = "stress-pass-1"
OPERATOR = "operator"
_SCARCE = 6


class Sku(NamedTuple):
    """Something to buy. `shipped`: it has to be sent."""

    id: str
    shop: str
    price: int
    shipped: bool
    scarce: bool


class Shop(NamedTuple):
    """A shop with its owner."""

    id: str
    slug: str
    owner: Person
    skus: tuple[Sku, ...]


class Scene(NamedTuple):
    """Everybody and everything. `coupons` are templates that can be claimed."""

    operator: Person
    shops: dict[str, Shop]
    buyers: list[Person]
    addresses: dict[str, str]
    coupons: list[str]


async def set_up(caller: Caller, seed: int, *, shops: int, buyers: int) -> Scene:
    """Open the market; the same seed gives the same goods and prices."""
    operator = await Person(caller, OPERATOR, "platform").sign_in(PASSWORD)
    chances = [random.Random(f"{seed}:shop {n}") for n in range(shops)]
    opened = await asyncio.gather(*(_shop(caller, operator, n, chance) for n, chance in enumerate(chances)))
    coupons = await _coupons(operator, opened)
    known = await asyncio.gather(*(_buyer(caller, n) for n in range(buyers)))
    addresses = {person.login: address for person, address in known}
    people = [person for person, _ in known]
    return Scene(operator, {shop.id: shop for shop in opened}, people, addresses, coupons)


async def _shop(caller: Caller, operator: Person, number: int, chance: random.Random) -> Shop:
    slug = f"shop-{number}"
    made = await operator.post(
        "/api/platform/merchants",
        {"name": f"铺子 {number}", "slug": slug, "owner": {"login": slug, "password": PASSWORD}},
    )
    await operator.post(f"/api/platform/merchants/{made['id']}/approve")
    owner = await Person(caller, slug, "merchant").sign_in(PASSWORD)
    terms = {"fee": chance.choice([0, 500, 801]), "free_from": chance.choice([None, 20_000])}
    answer = await owner.send("PUT", "/api/merchant/express_delivery/settings", terms)
    assert answer.ok, answer
    skus = [sku for n in range(6) for sku in await _product(owner, made["id"], n, chance)]
    return Shop(made["id"], slug, owner, tuple(skus))


async def _product(owner: Person, shop: str, number: int, chance: random.Random) -> list[Sku]:
    """Two of a shop's products are services that nobody sends, one is scarce."""
    shipped, scarce = number not in (3, 4), number == 2
    sizes = ["S", "L"] if number == 0 else [""]
    skus = [
        {
            "specs": {"尺码": size} if size else {},
            "price": chance.choice([1, 99, 333, 1299, 2500, 4999, 12_345]) + number,
            "on_hand": _SCARCE if scarce else 1_000_000,
            "requires_shipping": shipped,
        }
        for size in sizes
    ]
    body: dict[str, Any] = {
        "title": f"货 {number}", "skus": skus, "spec_names": ["尺码"] if sizes[0] else [], "status": "listed"
    }  # fmt: skip
    made = await owner.post("/api/merchant/products", body)
    if made["status"] != "listed":
        await owner.post(f"/api/merchant/products/{made['id']}/list")
    return [Sku(sku["id"], shop, sku["price"], shipped, scarce) for sku in made["skus"]]


async def restock(scene: Scene) -> None:
    """Scarce goods come in again."""
    for shop in scene.shops.values():
        for sku in shop.skus:
            if sku.scarce:
                body = {"sku_id": sku.id, "delta": _SCARCE, "reason": "delivery"}
                await shop.owner.post("/api/merchant/stock/moves", body)


async def _coupons(operator: Person, shops: list[Shop]) -> list[str]:
    plenty = {"total": 10_000_000, "per_account": 1000, "valid": {"days": 30}}
    market = [
        {"name": "平台减", "kind": "amount", "amount": 700, "threshold": 2000, "merchant_share_bp": 3000},
        {"name": "平台折", "kind": "rate", "rate_bp": 700, "cap": 1500, "threshold": 0},
        {"name": "免邮", "kind": "free_shipping", "threshold": 500, "merchant_share_bp": 5000},
    ]
    made = [await operator.post("/api/platform/coupons/templates", {**t, **plenty}) for t in market]
    gift = {
        "name": "回礼",
        "kind": "amount",
        "amount": 333,
        "threshold": 0,
        "claim": "gift",
        "gift": {"min_paid": 8000},
    }
    await operator.post("/api/platform/coupons/templates", {**gift, **plenty})
    for shop in shops[::2]:
        own = {"name": "店铺减", "kind": "amount", "amount": 301, "threshold": 1000}
        made.append(await shop.owner.post("/api/merchant/coupons/templates", {**own, **plenty}))
    return [str(template["id"]) for template in made]


async def _buyer(caller: Caller, number: int) -> tuple[Person, str]:
    login = f"buyer-{number}"
    body = {"login": login, "password": PASSWORD, "nickname": f"买家{number}"}
    answer = await caller.send("POST", "/api/auth/accounts", json=body)
    assert answer.ok, answer
    person = Person(caller, login, "shop")
    person.token = answer["access_token"]
    address = await person.post(
        "/api/shop/addresses",
        {
            "recipient": f"买家{number}", "phone": f"139{number:08d}", "province": "重庆市", "city": "重庆市",
            "district": "渝中区", "street": f"民权路 {number} 号", "is_default": True,
        },
    )  # fmt: skip
    return person, str(address["id"])
