"""Events of the market in these tests, and what shops hand in for review."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx

from core.testkit import TestClock
from core.testkit.market import Article, Market, Shop
from tests.support.groups import GROUP_PRICE, PRICE, Scene

MERCHANT, SHOP, PLATFORM = (f"/api/{a}/group_buy" for a in ("merchant", "shop", "platform"))
# From now on: the sign-up ends, the event starts, it ends.
DEADLINE, START, END = timedelta(hours=1), timedelta(hours=2), timedelta(days=3)


async def good(answer: httpx.Response) -> Any:
    """The JSON of a success."""
    assert answer.status_code < 300, answer.text
    return answer.json()


async def refused(answer: httpx.Response) -> tuple[int, str]:
    """How a refusal is called."""
    return answer.status_code, str(answer.json()["code"])


def event_terms(market: Market, **more: Any) -> dict[str, Any]:
    """The request to begin an event: groups of two, of whose discounts the shop bears 30 %."""
    now = market.runtime.clock()
    times = {"sign_up_until": DEADLINE, "starts_at": START, "ends_at": END}
    body = {"name": "百店拼团", "rules": "每店一品", "sizes": [2], "hours": 24, "merchant_share_bp": 3_000}
    return body | {name: (now + after).isoformat() for name, after in times.items()} | more


async def begin_event(market: Market, **more: Any) -> dict[str, Any]:
    """An event that takes sign-ups for an hour and starts in two."""
    operator = await market.operator()
    made: dict[str, Any] = await good(await operator.post(f"{PLATFORM}/events", event_terms(market, **more)))
    return made


def offer(article: Article, **more: Any) -> dict[str, Any]:
    """What a shop offers: 50 pieces of one SKU at 70 yuan."""
    sku = {"sku_id": article.ref, "price": GROUP_PRICE, "quota": 50}
    sku |= {name: more.pop(name) for name in ("price", "leader_price", "quota") if name in more}
    return {"product_id": article.product, "skus": [sku]} | more


async def sign_up(market: Market, event: Mapping[str, Any], article: Article, **more: Any) -> httpx.Response:
    """A shop's staff offer a product."""
    staff = await market.staff(article.merchant_id)
    return await staff.post(f"{MERCHANT}/market_events/{event['id']}/entries", offer(article, **more))


async def approve(market: Market, entry: Mapping[str, Any]) -> httpx.Response:
    """The market approves what it has read."""
    operator = await market.operator()
    return await operator.post(f"{PLATFORM}/entries/{entry['id']}/approve", {"version": entry["version"]})


async def taken_in(
    market: Market, event: Mapping[str, Any], *, usual: int = PRICE, slug: str = "shop", **more: Any
) -> Scene:
    """A new shop's product in an event that has not begun."""
    shop: Shop = await market.merchant(slug)
    article = await market.product(shop, price=usual)
    entry = await good(await sign_up(market, event, article, **more))
    passed = await good(await approve(market, entry))
    return Scene(market, shop, article, passed["activity"]["id"])


def start(clock: TestClock) -> None:
    """The event has begun."""
    clock.advance(seconds=int(START.total_seconds()) + 60)
