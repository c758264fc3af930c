"""Promotions run over HTTP, and rules of single ones without any server."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from core.api import MARKET_ID, Basket, BasketLine, PriceRule, Quote, new_id, parse_pair
from core.ledger.check import check
from core.testkit import Article, Market, Person, Shop, rule_kinds, take
from core.types.scope import SYSTEM
from plugins.coupons.plugin import CouponsPlugin
from plugins.promotions.plugin import PromotionsPlugin
from plugins.promotions.rules import Allowance, decoded, rules_for
from plugins.promotions.terms import Terms

Json = dict[str, Any]
MATRIX = rule_kinds(PromotionsPlugin, CouponsPlugin)


def made(
    wanted: Basket,
    terms: Terms,
    owner: UUID = MARKET_ID,
    *,
    allowance: Allowance | None = None,
    shelf: Mapping[str, tuple[BasketLine, int]] | None = None,
    promotion_id: UUID | None = None,
) -> list[PriceRule]:
    """The rules of a promotion for a basket, as if it ran."""
    day = timedelta(days=1)
    running = decoded(owner, promotion_id or new_id(), terms, wanted.now - day, wanted.now + day)
    lines = running.lines(wanted)
    return list(rules_for(running, lines, allowance or Allowance(), shelf or {})) if lines else []


def priced(wanted: Basket, *promotions: tuple[Terms, UUID]) -> Quote:
    """The quote of a basket with these promotions."""
    return take(wanted, [rule for terms, owner in promotions for rule in made(wanted, terms, owner)], MATRIX)


def saved(quote: Quote) -> dict[str, int]:
    """What is off each line, by its key."""
    return {x.key: x.amount - x.payable for m in quote.merchants for x in m.lines if x.amount > x.payable}


def why(quote: Quote) -> dict[str, tuple[str, int]]:
    """By kind, the code and what is short of what was refused."""
    return {e.kind: (e.code, e.short) for e in quote.explain if e.outcome == "refused"}


class Fair:
    """Shops that run promotions, and their buyers."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._staff: dict[UUID | None, Person] = {}

    async def draft(self, shop: Shop | None, **terms: Any) -> Any:
        """The answer to a new draft, of a shop or (None) the market; it runs for a day from now on unless said."""
        now = self.market.runtime.clock()
        ends = terms.pop("ends_in", timedelta(days=1))
        starts = terms.pop("starts_in", timedelta())
        body = {
            "name": terms.pop("name", "活动"),
            "starts_at": (now + starts).isoformat(),
            "ends_at": (now + ends).isoformat(),
        }
        return await (await self.staff(shop)).post(f"{self.at(shop)}", body | terms)

    async def run(self, shop: Shop | None, **terms: Any) -> str:
        """A promotion that is published; its id."""
        answer = await self.draft(shop, **terms)
        assert answer.status_code == 201, answer.text
        published = await self.act(shop, answer.json()["id"], "publish")
        assert published.status_code == 200, published.text
        promotion: str = answer.json()["id"]
        return promotion

    async def act(self, shop: Shop | None, promotion: str, step: str, body: object = None) -> Any:
        """Any step of staff."""
        return await (await self.staff(shop)).post(f"{self.at(shop)}/{promotion}/{step}", body)

    async def staff(self, shop: Shop | None) -> Person:
        """Marketing staff of a shop, or the operator."""
        key = shop.id if shop else None
        if key not in self._staff:
            self._staff[key] = (
                await self.market.staff(shop, "marketing") if shop else await self.market.operator()
            )
        return self._staff[key]

    def at(self, shop: Shop | None) -> str:
        """Where promotions are run."""
        return f"/api/{'merchant' if shop else 'platform'}/promotions"

    async def bought(self, person: Person, *goods: tuple[Article, int]) -> Json:
        """A paid trade."""
        return await self.market.purchase(person, list(goods))

    async def ship(
        self, shop: Shop, order: Mapping[str, Any], lines: Sequence[tuple[str, int]] | None = None
    ) -> None:
        """The shop takes an order on, unless it has, and sends lines (id, quantity), or all that is left."""
        owner = await self.market.staff(shop)
        await owner.post(f"/api/merchant/orders/{order['id']}/accept")
        parcel: Json = {"carrier": "sf", "waybill_no": f"SF{new_id().hex[-12:]}"}
        if lines is not None:
            parcel["lines"] = [{"line_id": line, "quantity": n} for line, n in lines]
        answer = await owner.post(f"/api/merchant/orders/{order['id']}/parcels", parcel)
        assert answer.status_code < 300, answer.text

    async def refund(
        self,
        shop: Shop,
        order: Mapping[str, Any],
        lines: Sequence[tuple[str, int]] | None = None,
        *,
        restock: bool = False,
    ) -> Any:
        """The answer to the shop's refund of lines (id, quantity), or of all."""
        owner = await self.market.staff(shop)
        body: Json = {"reason": "test", "shipping_amount": 0, "restock": restock}
        if lines is not None:
            body["lines"] = [{"line_id": line, "quantity": n} for line, n in lines]
        return await owner.post(f"/api/merchant/orders/{order['id']}/refunds", body)

    async def assert_balanced(self) -> None:
        """The books agree with themselves, the orders and the payments."""
        await self.market.drain()
        async with self.market.runtime.tx(SYSTEM) as tx:
            assert (await check(tx)).problems == []

    async def value(self, sql: str, *args: Any) -> Any:
        """One value from the database."""
        async with self.market.runtime.tx(SYSTEM) as tx:
            return await tx.fetchval(sql, *args)

    async def used(self, promotion: str) -> tuple[int, int]:
        """(of the total, of the accounts together)."""
        key = parse_pair(promotion)[1]
        return (
            await self.value("select claimed from promotions_promotion where id = $1", key),
            await self.value(
                "select coalesce(sum(used), 0)::int from promotions_account where promotion_id = $1", key
            ),
        )
