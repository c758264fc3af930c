"""Flash sales of a test market."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx

from core.api import Plugin
from core.deployment.runtime import Runtime
from core.kit.ids import parse_ref
from core.testkit import Plugins
from core.testkit.market import Article, Market, Person, Shop
from core.types.scope import SYSTEM
from plugins.coupons.plugin import CouponsPlugin
from plugins.flash_sale.plugin import FlashSalePlugin

CLASSES: Sequence[type[Plugin]] = (CouponsPlugin, FlashSalePlugin)


def installed(**config: Any) -> Plugins:
    """A market with flash sales (with this config) and coupons."""
    return Plugins(also=CLASSES, only=True, config={"flash_sale": config})


def slot(now: datetime, starts: float = -1, ends: float = 60) -> dict[str, str]:
    """A slot from and to so many minutes from now."""
    moments = {"starts_at": starts, "ends_at": ends}
    return {name: (now + timedelta(minutes=m)).isoformat() for name, m in moments.items()}


async def good(answer: httpx.Response) -> Any:
    """The JSON of a success."""
    assert answer.status_code < 300, answer.text
    return answer.json()


def offer(article: Article, **more: Any) -> dict[str, Any]:
    """By default 10 pieces at a third of the price, one for each account."""
    return {"sku_id": article.ref, "price": article.price // 3, "quantity": 10} | more


async def shop_sale(
    market: Market, article: Article, *, starts: float = -1, ends: float = 60, event: Any = None, **more: Any
) -> str:
    """The activity of a shop's own sale of one SKU; `more` are fields of the offer."""
    staff = await market.staff(article.merchant_id)
    body = {"name": "店铺秒杀", "slots": [slot(market.runtime.clock(), starts, ends)]}
    body |= {"offers": [offer(article, **more)]} | (event or {})
    made = await good(await staff.post("/api/merchant/flash_sale/events", body))
    activity: str = made["slots"][0]["id"]
    return activity


async def market_event(
    market: Market, *, starts: float = 60, ends: float = 120, deadline: float = 30, **more: Any
) -> dict[str, Any]:
    """An event of the market with one slot."""
    now = market.runtime.clock()
    body = {
        "name": "整点秒杀",
        "rules": "每人一件",
        "slots": [slot(now, starts, ends)],
        "sign_up_until": (now + timedelta(minutes=deadline)).isoformat(),
        "token_required": False,
    }
    operator = await market.operator()
    made: dict[str, Any] = await good(await operator.post("/api/platform/flash_sale/events", body | more))
    return made


async def signed_up(market: Market, event: Mapping[str, Any], article: Article, **more: Any) -> str:
    """A shop's entry that waits for its review."""
    staff = await market.staff(article.merchant_id)
    path = f"/api/merchant/flash_sale/activities/{event['slots'][0]['id']}/entries"
    made = await good(await staff.post(path, offer(article, **more)))
    entry: str = made["id"]
    return entry


async def market_sale(
    market: Market, article: Article, *, event: Mapping[str, Any] | None = None, **more: Any
) -> str:
    """The activity of a market's event in which one SKU takes part; it starts in 60 minutes."""
    made = await market_event(market, **(event or {}))
    entry = await signed_up(market, made, article, **more)
    await good(await (await market.operator()).post(f"/api/platform/flash_sale/entries/{entry}/pass"))
    activity: str = made["slots"][0]["id"]
    return activity


def choice(activity: str, token: str | None = None) -> dict[str, Any]:
    """The `options` of a purchase."""
    return {"flash_sale": {"activity_id": activity} | ({"token": token} if token is not None else {})}


async def admitted(person: Person, activity: str, article: Article) -> httpx.Response:
    """The answer of the admission, asked without an Idempotency-Key, which it does not need."""
    path = f"/api/shop/flash_sale/activities/{activity}/admission"
    return await person.client.post(path, json={"sku_id": article.ref}, headers=person.headers)


async def standing(runtime: Runtime, activity: str) -> tuple[int, int, int]:
    """Of an activity: pieces sold by its own count, taken by accounts, and in trades that are open."""
    async with runtime.tx(SYSTEM) as tx:
        row = await tx.fetchrow(
            "select (select sum(sold) from flash_sale_item where activity_id = $1)::int,"
            " (select coalesce(sum(taken), 0) from flash_sale_taking where activity_id = $1)::int,"
            " (select coalesce(sum(quantity - back), 0) from flash_sale_use where activity_id = $1)::int",
            parse_ref(activity),
        )
    assert row is not None
    return row[0], row[1], row[2]


async def goods(market: Market, count: int = 1, **more: Any) -> tuple[Shop, list[Article]]:
    """A shop with articles at 30 yuan."""
    shop = await market.merchant()
    return shop, [await market.product(shop, **({"price": 3000} | more)) for _ in range(count)]
