"""People, shops and goods of a test's market, and purchases by the real flow. Amounts in fen."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec

from core.catalog import products
from core.catalog.schemas import ProductIn, SkuIn
from core.deployment.runtime import Runtime
from core.identity import addresses, tokens
from core.identity.schemas import AddressInput
from core.kit.ids import MARKET_ID, new_id, parse_pair, ref
from core.types.scope import SYSTEM, Audience, Principal, buyer, merchant
from core.worker.inline import drain

_SHOP = (
    "insert into merchant (id, slug, name, status, location, created_at, opened_at)"
    " values ($1, $2, $2, 'open', point(106.55, 29.56), $3, $3)"
)
_ACCOUNT = (
    "insert into account (id, login, password_hash, nickname, pseudonym, created_at)"
    " values ($1, $2, '', 'test', $1, $3) on conflict do nothing"
)
_SESSION = (
    "insert into session (id, account_id, audience, merchant_id, roles, refresh_hash, created_at, expires_at)"
    " values ($1, $2, $3, $4, $5, $6, $7, $8)"
)
ADDRESS = AddressInput(
    recipient="张三",
    phone="13812345678",
    province="重庆市",
    city="重庆市",
    district="渝中区",
    street="解放碑 1 号",
    is_default=True,
)


class Shop(msgspec.Struct, frozen=True):
    """An open merchant."""

    id: UUID
    slug: str

    @property
    def ref(self) -> str:
        """Its id as clients know it."""
        return ref(self.id)


class Article(msgspec.Struct, frozen=True):
    """A listed product with one SKU, which is what is bought."""

    merchant_id: UUID
    product_id: UUID
    sku_id: UUID
    price: int

    @property
    def ref(self) -> str:
        """The SKU's id as clients know it."""
        return ref(self.merchant_id, self.sku_id)

    @property
    def product(self) -> str:
        """The product's id as clients know it."""
        return ref(self.merchant_id, self.product_id)


class Person:
    """Requests of one signed-in account; POSTs carry a new Idempotency-Key each unless given."""

    def __init__(self, client: httpx.AsyncClient, runtime: Runtime, me: Principal) -> None:
        self.client, self.me, self.headers = client, me, bearer(runtime, me)

    async def call(
        self, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> httpx.Response:
        """Any request."""
        extra = {"Idempotency-Key": key or ref(new_id())} if method == "POST" else {}
        return await self.client.request(method, path, json=body, headers=self.headers | extra)

    async def get(self, path: str) -> httpx.Response:
        """GET."""
        return await self.call("GET", path)

    async def post(self, path: str, body: object = None, *, key: str | None = None) -> httpx.Response:
        """POST."""
        return await self.call("POST", path, body if body is not None else {}, key=key)

    async def put(self, path: str, body: object) -> httpx.Response:
        """PUT."""
        return await self.call("PUT", path, body)

    async def quote(self, *lines: tuple[str, int], **more: object) -> httpx.Response:
        """Price SKUs (id, quantity); `more` goes into the request."""
        wanted = [{"sku_id": sku, "quantity": n} for sku, n in lines]
        return await self.post("/api/shop/quote", {"lines": wanted, **more})

    async def checkout(
        self, *lines: tuple[str, int], key: str | None = None, **more: object
    ) -> httpx.Response:
        """Quote the lines and check out at that price."""
        quote = await self.quote(*lines, **more)
        assert quote.status_code == 200, quote.text
        wanted = {"lines": [{"sku_id": sku, "quantity": n} for sku, n in lines], **more}
        return await self.post(
            "/api/shop/checkout", wanted | {"expected_payable": quote.json()["payable"]}, key=key
        )


class Market:
    """Makes what a test needs through core's own services, past review and passwords."""

    def __init__(self, runtime: Runtime, client: httpx.AsyncClient) -> None:
        self.runtime, self.client = runtime, client

    async def merchant(self, slug: str = "shop") -> Shop:
        """An open shop."""
        shop = Shop(new_id(), slug)
        async with self.runtime.tx(SYSTEM) as tx:
            await tx.execute(_SHOP, shop.id, slug, tx.now)
        return shop

    async def product(
        self, shop: Shop | UUID, *, title: str = "Tea", price: int = 1000, on_hand: int = 100, **more: Any
    ) -> Article:
        """A listed product with one SKU; `more` are fields of the SKU."""
        merchant_id = shop.id if isinstance(shop, Shop) else shop
        sku = SkuIn(price=price, on_hand=on_hand, **{"weight_g": 500, **more})
        data = ProductIn(title=title, status="listed", skus=[sku])
        async with self.runtime.tx(merchant(merchant_id)) as tx:
            made = await products.create(tx, merchant_id, data)
        return Article(merchant_id, parse_pair(made.id)[1], parse_pair(made.skus[0].id)[1], price)

    async def buyer(self, *, address: bool = True) -> Person:
        """A buyer, with a default address in Chongqing."""
        me = await sign_in(self.runtime, Audience.SHOP)
        if address:
            async with self.runtime.tx(buyer(me.account_id)) as tx:
                await addresses.add(tx, me.account_id, ADDRESS)
        return Person(self.client, self.runtime, me)

    async def operator(self, *roles: str) -> Person:
        """Platform staff; with every permission unless roles are named."""
        me = await sign_in(self.runtime, Audience.PLATFORM, MARKET_ID, roles or ("admin",))
        return Person(self.client, self.runtime, me)

    async def staff(self, shop: Shop | UUID, *roles: str) -> Person:
        """A shop's staff; its owner unless roles are named."""
        merchant_id = shop.id if isinstance(shop, Shop) else shop
        me = await sign_in(self.runtime, Audience.MERCHANT, merchant_id, roles or ("owner",))
        return Person(self.client, self.runtime, me)

    async def purchase(
        self,
        person: Person,
        goods: Sequence[tuple[Article | str, int]],
        options: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Buy (article or SKU id, quantity): quote, checkout, payment in the sandbox; the paid trade as the API shows it.

        `options` is what the buyer chose, by plugin; `more` goes into the requests, as `address_id` or `shipping`.
        Effects wait for `drain`.
        """
        lines = [(a.ref if isinstance(a, Article) else a, n) for a, n in goods]
        if options:
            more["options"] = dict(options)
        placed = await person.checkout(*lines, **more)
        assert placed.status_code == 201, placed.text
        return await self.pay(person, placed.json()["id"])

    async def pay(self, person: Person, trade_id: str) -> dict[str, Any]:
        """Pay a placed trade through the sandbox; the trade afterwards."""
        payment = await person.post(f"/api/shop/trades/{trade_id}/payments", {"provider": "sandbox"})
        assert payment.status_code < 300, payment.text
        if payment.json()["status"] != "paid":
            answer = await self.client.post(payment.json()["client"]["pay_url"])
            assert answer.status_code == 200, answer.text
        trade: dict[str, Any] = (await person.get(f"/api/shop/trades/{trade_id}")).json()
        assert trade["status"] == "paid", trade
        return trade

    async def fulfil(self, person: Person, trade: Mapping[str, Any]) -> None:
        """Every shop accepts and ships its order of a paid trade, the buyer receives."""
        for order in trade["orders"]:
            staff = await self.staff(parse_pair(order["id"])[0])
            base = f"/api/merchant/orders/{order['id']}"
            parcel = {"carrier": "sf", "waybill_no": f"SF{new_id().hex[-12:]}"}
            for answer in (
                await staff.post(f"{base}/accept"),
                await staff.post(f"{base}/parcels", parcel),
                await person.post(f"/api/shop/orders/{order['id']}/receive"),
            ):
                assert answer.status_code < 300, answer.text

    async def drain(self, *, strict: bool = True, **span: Any) -> Any:
        """Run what is due, and what that brings about, as workers would; counts by outcome. With a span, as `days=8`, time
        passes: what falls due meanwhile runs at its time, and the clock is then put back."""
        until = self.runtime.clock() + timedelta(**span) if span else None
        return await drain(self.runtime, until=until, strict=strict)


async def sign_in(
    runtime: Runtime,
    audience: Audience,
    merchant_id: UUID | None = None,
    roles: tuple[str, ...] = ("owner", "admin"),
    account_id: UUID | None = None,
) -> Principal:
    """A new account with an open session; no password is hashed."""
    me = Principal(account_id or new_id(), new_id(), audience, merchant_id, roles)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(_ACCOUNT, me.account_id, str(me.account_id), tx.now)
        await tx.execute(
            _SESSION,
            me.session_id,
            me.account_id,
            me.audience.value,
            me.merchant_id,
            list(me.roles),
            me.session_id.bytes,
            tx.now,
            tx.now + timedelta(days=30),
        )
    return me


def bearer(runtime: Runtime, me: Principal) -> dict[str, str]:
    """The header that signs requests in; good for thirty days, so that a test may let time pass."""
    token = tokens.issue(runtime.env.vault, me, runtime.clock() + timedelta(days=30))
    return {"Authorization": f"Bearer {token}"}
