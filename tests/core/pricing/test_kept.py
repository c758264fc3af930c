"""Rules kept in the process: read again when their version moved, and only then."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from core.cart import service as cart
from core.cart.schemas import QuoteRequest, WantedLine
from core.db.tx import Tx
from core.kit.ids import MARKET_ID
from core.pricing.kept import KeptRules, rules_changed
from core.testkit.market import Article, Market
from core.types.pricing import Basket
from core.types.scope import SYSTEM, buyer, merchant


async def test_rules_are_read_once_for_each_version_and_shop(market: Market) -> None:
    a, b = await market.merchant("shop-a"), await market.merchant("shop-b")
    tea, cup = await market.product(a), await market.product(b)
    person = await market.buyer()
    kept: KeptRules[str] = KeptRules("offers")
    asked: list[list[UUID]] = []

    async def read(tx: Tx, shops: Sequence[UUID]) -> Mapping[UUID, Sequence[str]]:
        asked.append(sorted(shops))
        return {shop: [f"rule of {shop}"] for shop in shops}

    async def basket(*articles: Article) -> Basket:
        lines = [WantedLine(article.ref, 1) for article in articles]
        async with market.runtime.tx(buyer(person.me.account_id)) as tx:
            loaded = await cart.to_basket(tx, person.me.account_id, QuoteRequest(lines=lines))
            found = await kept.of(tx, loaded.basket, read)
            assert len(found) == len(loaded.basket.versions.get("offers", {}))
            return loaded.basket

    assert (await basket(tea, cup)).versions == {}
    async with market.runtime.tx(merchant(a.id)) as tx:
        await rules_changed(tx, "offers", a.id)
    async with market.runtime.tx(SYSTEM) as tx:
        await rules_changed(tx, "offers", MARKET_ID)
    assert (await basket(tea, cup)).versions == {"offers": {a.id: 1, MARKET_ID: 1}}
    await basket(cup)
    await basket(tea, cup)
    assert asked == [sorted([a.id, MARKET_ID])]
    async with market.runtime.tx(merchant(a.id)) as tx:
        await rules_changed(tx, "offers", a.id)
    await basket(tea)
    await basket(tea)
    assert asked[1:] == [[a.id]]
