"""People, shops and goods for a test, made through core's own services."""

from datetime import timedelta
from uuid import UUID

import httpx

from core.catalog import products
from core.catalog.schemas import ProductIn, SkuIn
from core.deployment.runtime import Runtime
from core.identity import addresses, tokens
from core.identity.schemas import AddressInput
from core.kit.ids import MARKET_ID, new_id, ref
from core.types.scope import SYSTEM, Audience, Principal, buyer, merchant


async def open_shop(runtime: Runtime, slug: str) -> UUID:
    """An open merchant."""
    merchant_id = new_id()
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "insert into merchant (id, slug, name, status, location, created_at, opened_at)"
            " values ($1, $2, $2, 'open', point(106.55, 29.56), $3, $3)",
            merchant_id,
            slug,
            tx.now,
        )
    return merchant_id


async def add_product(
    runtime: Runtime, merchant_id: UUID, *, title: str = "Tea", price: int = 1000, on_hand: int = 100
) -> str:
    """A listed product with one SKU; the SKU's id as clients know it."""
    data = ProductIn(title=title, status="listed", skus=[SkuIn(price=price, on_hand=on_hand, weight_g=500)])
    async with runtime.tx(merchant(merchant_id)) as tx:
        made = await products.create(tx, merchant_id, data)
    return made.skus[0].id


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
        await tx.execute(
            "insert into account (id, login, password_hash, nickname, pseudonym, created_at)"
            " values ($1, $2, '', 'test', $1, $3) on conflict do nothing",
            me.account_id,
            str(me.account_id),
            tx.now,
        )
        await tx.execute(
            "insert into session (id, account_id, audience, merchant_id, roles, refresh_hash, created_at, expires_at)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8)",
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


async def a_buyer(runtime: Runtime) -> Principal:
    """A buyer with a default address."""
    me = await sign_in(runtime, Audience.SHOP)
    async with runtime.tx(buyer(me.account_id)) as tx:
        await addresses.add(
            tx,
            me.account_id,
            AddressInput(
                recipient="张三",
                phone="13812345678",
                province="重庆市",
                city="重庆市",
                district="渝中区",
                street="解放碑 1 号",
                is_default=True,
            ),
        )
    return me


async def an_operator(runtime: Runtime) -> Principal:
    """Platform staff with every permission."""
    return await sign_in(runtime, Audience.PLATFORM, MARKET_ID)


def bearer(runtime: Runtime, me: Principal) -> dict[str, str]:
    """The header that signs requests in."""
    return {
        "Authorization": f"Bearer {tokens.issue(runtime.env.vault, me, runtime.clock() + timedelta(days=1))}"
    }


class Session:
    """Requests of one signed-in person through a client; POSTs carry a new key each unless given."""

    def __init__(self, client: httpx.AsyncClient, runtime: Runtime, me: Principal) -> None:
        self.client, self.me, self._headers = client, me, bearer(runtime, me)

    async def call(
        self, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> httpx.Response:
        """Any request."""
        extra = {"Idempotency-Key": key or ref(new_id())} if method == "POST" else {}
        return await self.client.request(method, path, json=body, headers=self._headers | extra)

    async def get(self, path: str) -> httpx.Response:
        """GET."""
        return await self.call("GET", path)

    async def post(self, path: str, body: object = None, *, key: str | None = None) -> httpx.Response:
        """POST."""
        return await self.call("POST", path, body if body is not None else {}, key=key)

    async def checkout(
        self, *lines: tuple[str, int], key: str | None = None, **extra: object
    ) -> httpx.Response:
        """Quote the lines and check out at that price."""
        wanted = {"lines": [{"sku_id": sku, "quantity": n} for sku, n in lines], **extra}
        quote = await self.post("/api/shop/quote", wanted)
        assert quote.status_code == 200, quote.text
        return await self.post(
            "/api/shop/checkout", wanted | {"expected_payable": quote.json()["payable"]}, key=key
        )
