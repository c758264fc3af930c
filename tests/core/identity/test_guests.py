"""Guests: what they may, what comes along when they sign in, and what is left of them."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from core import hookspecs
from core.api import Plugin, Tx, hookimpl
from core.deployment.runtime import Runtime
from core.identity import service, tokens
from core.identity.schemas import Refresh, Registration, Tokens
from core.kit.errors import Unauthorized
from core.kit.ids import parse_ref, ref
from core.kit.settings import Settings
from core.plugin import Snapshot
from core.types import scope as scopes
from core.types.identity import Merging
from core.types.scope import SYSTEM, Audience
from core.worker import housekeeping
from tests.core.cart.carts import lines, put, show
from tests.core.identity.people import PASSWORD, employ, make_account, make_shop, principal, sign_in
from tests.core.identity.test_identity_http import HOME, bearer
from tests.support.market import add_product, open_shop
from tests.support.shelves import put_on_sale


async def guest(runtime: Any) -> tuple[UUID, Tokens]:
    """A new guest."""
    given = await service.open_guest(runtime.tx)
    return parse_ref(given.account.id), given


async def left(runtime: Any, account_id: UUID) -> tuple[str | None, int]:
    """The account's status and how many of its sessions are open."""
    async with runtime.tx(SYSTEM) as tx:
        return (
            await tx.fetchval("select status from account where id = $1", account_id),
            await tx.fetchval(
                "select count(*) from session where account_id = $1 and revoked_at is null", account_id
            ),
        )


async def test_a_guest_fills_a_cart_and_asks_for_quotes(client: httpx.AsyncClient, runtime: Runtime) -> None:
    bowl = await put_on_sale(runtime, price=700)
    answer = await client.post("/api/auth/guests")
    assert answer.status_code == 201, answer.text
    given = answer.json()
    assert set(given) == {"access_token", "expires_in", "refresh_token", "account"}
    assert (given["account"]["nickname"], given["account"]["guest"]) == ("游客", True)
    me = bearer(given["access_token"])
    assert (await client.get("/api/shop/me", headers=me)).json() == given["account"]
    path = f"/api/shop/cart/lines/{bowl.ref}"
    assert (await client.put(path, json={"quantity": 2}, headers=me)).status_code == 200
    assert (await client.get("/api/shop/cart", headers=me)).json()["quote"]["goods_amount"] == 1400
    place = (await client.post("/api/shop/addresses", json=HOME, headers=me)).json()
    quote = await client.post("/api/shop/quote", json={"address_id": place["id"]}, headers=me)
    assert quote.json()["goods_amount"] == 1400
    again = await client.post("/api/auth/refresh", json={"refresh_token": given["refresh_token"]})
    me = bearer(again.json()["access_token"])
    refused = await client.post(
        "/api/shop/checkout", json={"expected_payable": 1400}, headers=me | {"Idempotency-Key": "k"}
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "sign_in_required")
    assert (await client.delete("/api/auth/tokens", headers=me)).status_code == 204
    assert (await client.get("/api/shop/cart", headers=me)).status_code == 401


async def test_nobody_can_type_a_guests_login_or_be_hired_by_it(runtime: Any) -> None:
    account_id, _ = await guest(runtime)
    async with runtime.tx(SYSTEM) as tx:
        login, hashed = await tx.fetchrow(
            "select login, password_hash from account where id = $1", account_id
        )
    assert login == f"guest:{ref(account_id)}"
    for password in (hashed, "", PASSWORD):
        with pytest.raises(Unauthorized):
            await sign_in(runtime, login, password=password or "!")


async def test_a_guests_cart_comes_along_into_a_purchase(client: httpx.AsyncClient, runtime: Runtime) -> None:
    shop = await open_shop(runtime, "shop")
    sku = await add_product(runtime, shop, price=1000)
    given = (await client.post("/api/auth/guests")).json()
    me = bearer(given["access_token"])
    await client.put(f"/api/shop/cart/lines/{sku}", json={"quantity": 3}, headers=me)
    await client.post("/api/shop/addresses", json=HOME, headers=me)
    body = {"login": "new", "password": PASSWORD, "nickname": "x", "guest_token": given["access_token"]}
    registered = (await client.post("/api/auth/accounts", json=body)).json()
    assert registered["cart_merged"] is True
    assert "guest" not in registered["account"]
    assert (await client.get("/api/shop/cart", headers=me)).json()["code"] == "token_revoked"
    headers = bearer(registered["access_token"])
    quote = (await client.post("/api/shop/quote", json={}, headers=headers)).json()
    assert quote["goods_amount"] == 3000
    placed = await client.post(
        "/api/shop/checkout",
        json={"expected_payable": quote["payable"]},
        headers=headers | {"Idempotency-Key": "k"},
    )
    assert placed.status_code == 201, placed.text
    again = await client.post("/api/auth/refresh", json={"refresh_token": given["refresh_token"]})
    assert again.json()["code"] == "refresh_refused"


async def test_signing_in_merges_once(runtime: Any) -> None:
    bowl, account = await put_on_sale(runtime), await make_account(runtime, "buyer1")
    guest_id, given = await guest(runtime)
    await put(runtime, guest_id, bowl.ref, 2)
    await put(runtime, account, bowl.ref, 1)
    found = await sign_in(runtime, "buyer1", guest_token=given.access_token)
    assert found.cart_merged is True
    assert await left(runtime, guest_id) == ("deleted", 0)
    assert lines(await show(runtime, account))[bowl.ref].quantity == 3
    found = await sign_in(runtime, "buyer1", guest_token=given.access_token)
    assert found.cart_merged is False
    assert lines(await show(runtime, account))[bowl.ref].quantity == 3
    assert (await sign_in(runtime, "buyer1")).cart_merged is msgspec.UNSET


async def test_sign_ins_with_one_guest_at_once_merge_it_once(runtime: Any) -> None:
    bowl = await put_on_sale(runtime)
    accounts = [await make_account(runtime, f"buyer{n}") for n in range(3)]
    guest_id, given = await guest(runtime)
    await put(runtime, guest_id, bowl.ref, 2)
    found = await asyncio.gather(
        *(sign_in(runtime, f"buyer{n}", guest_token=given.access_token) for n in (0, 0, 1, 2))
    )
    assert sorted(tokens.cart_merged is True for tokens in found) == [False, False, False, True]
    held = [lines(await show(runtime, account)) for account in accounts]
    assert [cart[bowl.ref].quantity for cart in held if cart] == [2]


async def test_a_guest_token_that_is_none_does_not_keep_anybody_out(runtime: Any) -> None:
    account = await make_account(runtime, "buyer1")
    _, ended = await guest(runtime)
    me = tokens.read(runtime.env.vault, ended.access_token, runtime.clock())
    assert me is not None
    async with runtime.tx(SYSTEM) as tx:
        await service.sign_out(tx, me)
    _, blocked = await guest(runtime)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update account set status = 'blocked' where id = $1", parse_ref(blocked.account.id))
    expired = tokens.issue(runtime.env.vault, msgspec.structs.replace(me), runtime.clock() - timedelta(1))
    other = await make_account(runtime, "buyer2")
    real = (await sign_in(runtime, "buyer2")).access_token
    await put(runtime, other, (await put_on_sale(runtime)).ref)
    for token in ("", "rubbish", "é.\ud800", ended.access_token, blocked.access_token, expired, real):
        assert (await sign_in(runtime, "buyer1", guest_token=token)).cart_merged is False, token
    assert (await show(runtime, account)).shops == []
    assert await left(runtime, other) == ("active", 1)


async def test_an_account_is_no_guest_even_if_a_token_says_so(runtime: Any) -> None:
    await make_account(runtime, "buyer1")
    other = await make_account(runtime, "buyer2")
    me = msgspec.structs.replace(await principal(runtime, "buyer2"), guest=True)
    token = tokens.issue(runtime.env.vault, me, runtime.clock() + timedelta(hours=1))
    assert (await sign_in(runtime, "buyer1", guest_token=token)).cart_merged is False
    assert await left(runtime, other) == ("active", 1)


async def test_staff_who_sign_in_to_work_merge_nothing(runtime: Any) -> None:
    account, shop = await make_account(runtime, "clerk"), await make_shop(runtime, "shop")
    await employ(runtime, shop, account, "clerk")
    guest_id, given = await guest(runtime)
    found = await sign_in(runtime, "clerk", Audience.MERCHANT, guest_token=given.access_token)
    assert found.cart_merged is False
    assert await left(runtime, guest_id) == ("active", 1)


class Merger(Plugin):
    """Notes who is merged; does or raises what it is told to."""

    name = "merger"
    title = summary = "merger"
    fault: Exception | None = None
    sql: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Merging] = []

    @hookimpl
    async def account_merging(self, tx: Tx, merging: Merging) -> None:
        await tx.execute("update account set nickname = 'touched' where id = $1", merging.account_id)
        self.seen.append(merging)
        if self.fault is not None:
            raise self.fault
        if self.sql is not None:
            await tx.execute(self.sql)


async def test_account_merging_asks_every_plugin_and_one_that_fails_keeps_nobody_out(runtime: Any) -> None:
    bowl, account = await put_on_sale(runtime), await make_account(runtime, "buyer1")
    merger = Merger()
    runtime.snapshot = Snapshot(1, [merger, *runtime.always], [merger, *runtime.always], hookspecs)
    guest_id, given = await guest(runtime)
    await put(runtime, guest_id, bowl.ref, 2)
    merger.fault = ZeroDivisionError()
    found = await sign_in(runtime, "buyer1", guest_token=given.access_token)
    assert (found.cart_merged, found.account.nickname) == (False, "Nick buyer1")
    assert (await show(runtime, account)).shops == []
    assert await left(runtime, guest_id) == ("active", 1)
    assert (await show(runtime, guest_id)).shops != []
    merger.fault = None
    registration = Registration("new", PASSWORD, "x", given.access_token)
    made = await service.register(runtime.tx, registration)
    assert made.cart_merged is True
    new = parse_ref(made.account.id)
    assert merger.seen == [Merging(guest_id, account), Merging(guest_id, new)]
    assert lines(await show(runtime, new))[bowl.ref].quantity == 2
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select nickname from account where id = $1", account) == "Nick buyer1"
        assert await tx.fetchval("select nickname from account where id = $1", new) == "touched"


async def test_a_statement_that_fails_while_merging_is_undone_and_the_sign_in_kept(runtime: Any) -> None:
    await make_account(runtime, "buyer1")
    merger = Merger()
    merger.sql = "select 1 / 0"
    runtime.snapshot = Snapshot(1, [merger, *runtime.always], [merger, *runtime.always], hookspecs)
    guest_id, given = await guest(runtime)
    found = await sign_in(runtime, "buyer1", guest_token=given.access_token)
    assert found.cart_merged is False
    me = tokens.read(runtime.env.vault, found.access_token, runtime.clock())
    async with runtime.tx(scopes.of(me)) as tx:
        assert await tx.fetchval("select nickname from account") == "Nick buyer1"
    assert await left(runtime, guest_id) == ("active", 1)


async def test_a_lost_connection_while_merging_is_no_sign_in(runtime: Any) -> None:
    await make_account(runtime, "buyer1")
    cutter = Merger()
    cutter.sql = "select pg_terminate_backend(pg_backend_pid())"
    runtime.snapshot = Snapshot(1, [cutter, *runtime.always], [cutter, *runtime.always], hookspecs)
    guest_id, given = await guest(runtime)
    with pytest.raises(Exception, match=r"terminat|closed|connection"):
        await sign_in(runtime, "buyer1", guest_token=given.access_token)
    assert await left(runtime, guest_id) == ("active", 1)
    assert runtime.engine.pool.checkedout() == 0


async def test_guests_whose_session_is_over_are_swept_with_all_they_had(runtime: Any) -> None:
    bowl, account = await put_on_sale(runtime), await make_account(runtime, "buyer1")
    await put(runtime, account, bowl.ref)
    (idle, _), (busy, kept), (merged, token) = [await guest(runtime) for _ in range(3)]
    for who in (idle, busy, merged):
        await put(runtime, who, bowl.ref)
        async with runtime.tx(SYSTEM) as tx:
            await tx.execute("insert into holding values ($1, 'coupons', null)", who)
    await sign_in(runtime, "buyer1", guest_token=token.access_token)
    assert (await housekeeping.sweep(runtime))["account"] == 0
    clock = runtime.clock
    runtime.clock = lambda: clock() + timedelta(hours=2)
    assert (await housekeeping.sweep(runtime))["account"] == 1
    assert await left(runtime, merged) == (None, 0)
    runtime.clock = lambda: clock() + timedelta(seconds=runtime.env.settings.refresh_token_ttl - 60)
    await service.refresh(runtime.tx, Refresh(kept.refresh_token))
    runtime.clock = lambda: clock() + timedelta(seconds=runtime.env.settings.refresh_token_ttl + 60)
    assert (await housekeeping.sweep(runtime))["account"] == 1
    async with runtime.tx(SYSTEM) as tx:
        for table in ("cart_line", "holding"):
            rows = await tx.fetch(f"select account_id from {table}")
            assert {row[0] for row in rows} == {busy} | ({account} if table == "cart_line" else set())
        assert {row[0] for row in await tx.fetch("select id from account where guest")} == {busy}


class TestLimits:
    """Guests are made at the address's expense."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return msgspec.structs.replace(settings, rate_limits=True)

    async def test_an_address_makes_thirty_guests_an_hour(self, client: httpx.AsyncClient) -> None:
        codes = [(await client.post("/api/auth/guests")).status_code for _ in range(31)]
        assert codes == [201] * 30 + [429]
