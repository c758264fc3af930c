"""A weekend on which everything runs: 200 activities of ten shops and of the market, levels with prices of their own, and
buyers who are members with points and hold coupons. Through the same services that people use."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from bench.market import Market
from core.command.composed import make_runtime
from core.deployment.runtime import Runtime
from core.kit.ids import MARKET_ID, new_id, ref
from core.types import scope as scopes
from plugins.coupons import claiming, templates
from plugins.coupons.schemas import TemplateIn, Valid
from plugins.flash_sale import events
from plugins.flash_sale.schemas import ShopEventIn
from plugins.group_buy import offers
from plugins.group_buy.schemas import ActivityIn
from plugins.membership import levels, members
from plugins.membership.schemas import AdjustIn, LevelIn
from plugins.promotions import running
from plugins.promotions.schemas import PromotionIn

Json = dict[str, Any]
SHOPS, LINES = 10, 20
_BY = new_id()
# The newest goods, so that they are on the first page of the list.
_GOODS = """
select merchant_id, id, product_id, price from (
  select s.*, row_number() over (partition by s.merchant_id order by s.id desc) as n,
    dense_rank() over (order by m.slug) as shop
  from sku s join merchant m on m.id = s.merchant_id where m.slug ~ '^bench-19[0-9]$'
) x where n <= 20 and shop <= $1 order by shop, n
"""


class Article(msgspec.Struct, frozen=True):
    """One of the goods."""

    id: str
    product: str
    price: int


class Weekend:
    """The ten shops and their goods; `begin` starts everything of which the plugin is on."""

    def __init__(self, built: Market) -> None:
        self.built = built
        self.goods: dict[UUID, list[Article]] = {}
        self.templates: list[str] = []
        self.activities = 0

    async def begin(self, plugins: Iterable[str]) -> None:
        """Look the goods up and start what the `plugins` have."""
        runtime = make_runtime(self.built.env)
        await runtime.open()
        async with runtime.tx(scopes.SYSTEM) as tx:
            for row in await tx.fetch(_GOODS, SHOPS):
                shop = row["merchant_id"]
                article = Article(ref(shop, row["id"]), ref(shop, row["product_id"]), row["price"])
                self.goods.setdefault(shop, []).append(article)
        start = {
            "promotions": self._promotions,
            "group_buy": self._groups,
            "flash_sale": self._flash,
            "membership": self._levels,
            "coupons": self._coupons,
        }
        for plugin in plugins:
            if plugin in start:
                await start[plugin](runtime)
        await runtime.close()

    def lines(self, each: int = LINES // SHOPS) -> list[Json]:
        """What a quote is asked for: so many articles of each of the ten shops, one to three pieces of each."""
        return [
            {"sku_id": article.id, "quantity": 1 + n % 3}
            for n, article in enumerate(a for goods in self.goods.values() for a in goods[:each])
        ]

    def basket(self, number: int) -> list[str]:
        """An article of each of three shops."""
        shops = list(self.goods)
        return [self.goods[shops[(number + step) % SHOPS]][number % 2].id for step in (0, 3, 7)]

    async def _promotions(self, runtime: Runtime) -> None:
        for shop, goods in self.goods.items():
            for wanted in _of_shop(goods):
                await self._promote(runtime, shop, wanted)
        for wanted in _of_market(self.goods):
            await self._promote(runtime, MARKET_ID, wanted)

    async def _promote(self, runtime: Runtime, owner: UUID, wanted: Json) -> None:
        self.activities += 1
        body = msgspec.convert({"name": f"活动 {self.activities}", **_today(), **wanted}, PromotionIn)
        async with runtime.tx(scopes.SYSTEM) as tx:
            made = await running.draft(tx, owner, body, _BY)
            await running.publish(tx, owner, made.id, _BY)

    async def _groups(self, runtime: Runtime) -> None:
        for shop, goods in self.goods.items():
            for article in goods[13:16]:
                price = {"sku_id": article.id, "price": article.price * 3 // 4, "quota": 1000}
                body: Json = {
                    "product_id": article.product,
                    "name": "拼团",
                    "skus": [price],
                    "size": 3,
                    "hours": 24,
                }
                async with runtime.tx(scopes.merchant(shop)) as tx:
                    await offers.begin(tx, shop, _BY, msgspec.convert(body | _today(), ActivityIn))
                self.activities += 1

    async def _flash(self, runtime: Runtime) -> None:
        for shop, goods in self.goods.items():
            for article in goods[16:19]:
                offer = {"sku_id": article.id, "price": article.price // 2, "quantity": 100}
                body: Json = {"name": "秒杀", "slots": [_today()], "offers": [offer]}
                async with runtime.tx(scopes.merchant(shop)) as tx:
                    await events.open_shop(tx, shop, _BY, msgspec.convert(body, ShopEventIn))
                self.activities += 1

    async def _levels(self, runtime: Runtime) -> None:
        for owner, goods in [(MARKET_ID, []), *self.goods.items()]:
            prices = [{"sku_id": a.id, "price": a.price * 19 // 20} for a in goods[1:6]]
            for n, name in enumerate(("银卡", "金卡", "黑卡")):
                terms: Json = {
                    "name": name,
                    "growth": n * 1000,
                    "discount_bp": 100 + 100 * n,
                    "prices": prices,
                }
                async with runtime.tx(scopes.SYSTEM) as tx:
                    await levels.define(tx, owner, msgspec.convert(terms, LevelIn))

    async def _coupons(self, runtime: Runtime) -> None:
        owners = [*self.goods, *[MARKET_ID] * 10]
        for n, owner in enumerate(owners):
            given: Json = {"name": f"券 {n}", "total": 100_000, "valid": Valid(days=7), **_worth(n)}
            async with runtime.tx(scopes.SYSTEM) as tx:
                self.templates.append((await templates.issue(tx, owner, TemplateIn(**given))).id)

    async def join(self, accounts: Iterable[UUID], number: int | None = None) -> None:
        """Make these accounts members with points and growth. Without `number` each has all 20 coupons; with it, the n-th
        has those of the shops of the n-th basket and two of the market's."""
        runtime = make_runtime(self.built.env)
        await runtime.open()
        for n, account in enumerate(accounts, number or 0):
            async with runtime.tx(scopes.SYSTEM) as tx:
                gift = AdjustIn(points=100_000, growth=1500, reason="bench")
                await members.adjust(tx, ref(account), "bench", gift, _BY)
                few = [(n + step) % SHOPS for step in (0, 3, 7)] + [SHOPS + n % 10, SHOPS + (n + 1) % 10]
                for at in range(len(self.templates)) if number is None else few:
                    await claiming.claim(tx, account, self.templates[at])
        await runtime.close()


def _today() -> Json:
    now = datetime.now(UTC)
    return {"starts_at": now - timedelta(minutes=1), "ends_at": now + timedelta(days=2)}


def _of_shop(goods: list[Article]) -> Iterator[Json]:
    """Twelve promotions of a shop; most of them are about goods that the baskets hold."""
    for start in (0, 4, 7):
        items = [{"sku_id": a.id, "rate_bp": 1000} for a in goods[start : start + 3] if a is not goods[1]]
        yield {"kind": "limited", "items": items}
    yield {"kind": "nth", "rate_bp": 5000, "pool": "sku"}
    yield {"kind": "nth", "rate_bp": 5000, "scope": _products(goods[:2])}
    yield {"kind": "nth", "nth": 3, "rate_bp": 2000, "scope": _products(goods[10:12])}
    for pair in (goods[:2], goods[2:4]):
        items = [{"sku_id": a.id} for a in pair]
        yield {"kind": "bundle", "items": items, "price": sum(a.price for a in pair) * 4 // 5}
    gifts = [{"sku_id": goods[19].id}]
    yield {"kind": "gift", "tiers": [{"from": 3000, "gifts": gifts}]}
    yield {"kind": "gift", "scope": _products(goods[12:13]), "tiers": [{"from": 100, "gifts": gifts}]}
    yield {"kind": "reduction", "tiers": [{"from": 5000, "minus": 500}, {"from": 10_000, "minus": 1500}]}
    yield {"kind": "free_shipping", "tiers": [{"from": 9900}]}


def _of_market(goods: dict[UUID, list[Article]]) -> Iterator[Json]:
    """Twenty promotions across shops."""
    shops = list(goods)
    for n in range(6):
        mine, other = goods[shops[n]], goods[shops[n + 4]]
        yield {"kind": "limited", "items": [{"sku_id": mine[1].id if n < 4 else mine[10].id, "rate_bp": 1500},
                                            {"sku_id": other[11].id, "rate_bp": 1500}]}  # fmt: skip
        yield {
            "kind": "nth",
            "rate_bp": 3000,
            "scope": {"kind": "merchants", "ids": [ref(shops[n]), ref(shops[n + 4])]},
        }
        pair = [mine[5], other[0]]
        yield {
            "kind": "bundle",
            "items": [{"sku_id": a.id} for a in pair],
            "price": sum(a.price for a in pair) * 4 // 5,
        }
    yield {"kind": "reduction", "tiers": [{"from": 30_000, "minus": 3000}]}
    yield {"kind": "free_shipping", "tiers": [{"from": 20_000, "cap": 1000}]}


def _products(goods: Iterable[Article]) -> Json:
    return {"kind": "products", "ids": [a.product for a in goods]}


def _worth(n: int) -> Json:
    if n % 4 == 3:
        return {"kind": "free_shipping", "threshold": 100 * n}
    if n % 4 == 2:
        return {"kind": "rate", "rate_bp": 100 * (n % 10 + 1), "cap": 300}
    return {"kind": "amount", "amount": 100 + n, "threshold": 500 * (n % 10)}
