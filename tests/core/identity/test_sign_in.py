"""Signing in, refreshing and signing out, against a real database and Redis."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from core.db.tx import Tx, TxFactory
from core.identity import service, tokens
from core.identity.schemas import Refresh, Registration, SignIn
from core.kit.clock import system_clock
from core.kit.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    TooManyRequests,
    Unauthorized,
)
from core.kit.ids import MARKET_ID, ref
from core.kit.settings import Env
from core.types import scope as scopes
from core.types.scope import SYSTEM, Audience, Principal
from tests.core.identity.people import PASSWORD, employ, make_account, make_shop, principal, sign_in


def with_settings(runtime: Any, **changed: Any) -> TxFactory:
    """The runtime's transactions under other settings."""
    env = Env(msgspec.structs.replace(runtime.env.settings, **changed), runtime.env.vault)
    return lambda scope: Tx(runtime.engine, runtime.snapshot, scope, env)


def who(runtime: Any, token: str) -> Principal:
    """Whom the token speaks for."""
    found = tokens.read(runtime.env.vault, token, system_clock())
    assert found is not None
    return found


async def test_a_buyer_signs_in_and_the_token_names_the_account(runtime: Any) -> None:
    account = await make_account(runtime, "buyer1")
    given = await sign_in(runtime, "BUYER1")
    me = who(runtime, given.access_token)
    assert (me.account_id, me.audience, me.merchant_id, me.roles) == (account, Audience.SHOP, None, ())
    assert given.expires_in == runtime.env.settings.access_token_ttl
    assert msgspec.to_builtins(given.account) == {
        "id": ref(account),
        "nickname": "Nick buyer1",
        "audiences": [{"audience": "shop", "roles": []}],
    }


async def test_unknown_login_and_wrong_password_get_the_same_answer(runtime: Any) -> None:
    await make_account(runtime, "buyer1")
    answers = []
    for login, password in [
        ("buyer1", "wrong-password"),
        ("nobody", PASSWORD),
        ("no\x00body", PASSWORD),
        ("'; --", "x"),
    ]:
        with pytest.raises(Unauthorized) as refused:
            await sign_in(runtime, login, password=password)
        answers.append((refused.value.code, refused.value.detail, dict(refused.value.extra)))
    assert answers == [("wrong_credentials", answers[0][1], {})] * 4


async def test_a_provider_there_is_not_is_refused(runtime: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        await service.sign_in(runtime.tx, runtime.redis, SignIn(provider="nowhere"))
    assert refused.value.code == "unknown_provider"


async def test_login_and_password_are_asked_for(runtime: Any) -> None:
    with pytest.raises(Invalid) as refused:
        await service.sign_in(runtime.tx, runtime.redis, SignIn(provider="password", login="buyer1"))
    assert [e.field for e in refused.value.extra["errors"]] == ["password"]


@pytest.mark.parametrize("audience", [Audience.MERCHANT, Audience.PLATFORM])
async def test_a_buyer_gets_no_staff_token(runtime: Any, audience: Audience) -> None:
    await make_account(runtime, "buyer1")
    with pytest.raises(Forbidden) as refused:
        await sign_in(runtime, "buyer1", audience)
    assert refused.value.code == "audience_not_allowed"


async def test_staff_of_the_market_get_a_platform_token_and_no_merchant_token(runtime: Any) -> None:
    account = await make_account(runtime, "operator")
    await employ(runtime, MARKET_ID, account, "admin")
    me = await principal(runtime, "operator", Audience.PLATFORM)
    assert (me.merchant_id, me.roles) == (MARKET_ID, ("admin",))
    with pytest.raises(Forbidden):
        await sign_in(runtime, "operator", Audience.MERCHANT)


async def test_staff_of_several_shops_choose_one(runtime: Any) -> None:
    account = await make_account(runtime, "two-shops")
    one, two = await make_shop(runtime, "one"), await make_shop(runtime, "two")
    await employ(runtime, one, account, "owner")
    await employ(runtime, two, account, "clerk")
    with pytest.raises(Conflict) as refused:
        await sign_in(runtime, "two-shops", Audience.MERCHANT)
    assert refused.value.code == "choose_merchant"
    offered = {(c.merchant_id, c.name) for c in refused.value.extra["merchants"]}
    assert offered == {(ref(one), "Shop one"), (ref(two), "Shop two")}
    given = await sign_in(runtime, "two-shops", Audience.MERCHANT, merchant_id=ref(two))
    me = who(runtime, given.access_token)
    assert (me.merchant_id, me.roles) == (two, ("clerk",))
    assert [(a.audience, a.merchant_id, a.roles) for a in given.account.audiences] == [
        ("shop", None, []),
        ("merchant", ref(one), ["owner"]),
        ("merchant", ref(two), ["clerk"]),
    ]


async def test_nobody_signs_in_to_a_shop_of_others(runtime: Any) -> None:
    account = await make_account(runtime, "clerk")
    mine, other = await make_shop(runtime, "mine"), await make_shop(runtime, "other")
    await employ(runtime, mine, account, "clerk")
    for merchant_id in (ref(other), ref(MARKET_ID), "rubbish"):
        with pytest.raises(Forbidden):
            await sign_in(runtime, "clerk", Audience.MERCHANT, merchant_id=merchant_id)


async def test_a_blocked_account_is_refused_and_cannot_refresh(runtime: Any) -> None:
    account = await make_account(runtime, "buyer1")
    given = await sign_in(runtime, "buyer1")
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update account set status = 'blocked' where id = $1", account)
    with pytest.raises(Forbidden) as refused:
        await sign_in(runtime, "buyer1")
    assert refused.value.code == "account_blocked"
    with pytest.raises(Unauthorized):
        await service.refresh(runtime.tx, Refresh(given.refresh_token))


async def test_a_signed_out_token_is_refused_where_the_transaction_opens(runtime: Any) -> None:
    await make_account(runtime, "buyer1")
    me = await principal(runtime, "buyer1")
    for scope in (scopes.of(me), scopes.system_for(me)):
        async with runtime.tx(scope) as tx:
            assert await tx.fetchval("select 1") == 1
    async with runtime.tx(scopes.system_for(me)) as tx:
        await service.sign_out(tx, me)
    for scope in (scopes.of(me), scopes.system_for(me)):
        with pytest.raises(Unauthorized) as refused:
            async with runtime.tx(scope) as tx:
                await tx.fetchval("select 1")
        assert refused.value.code == "token_revoked"


async def test_refreshing_rotates_and_keeps_the_session(runtime: Any) -> None:
    account = await make_account(runtime, "clerk")
    shop = await make_shop(runtime, "shop")
    await employ(runtime, shop, account, "clerk")
    first = await sign_in(runtime, "clerk", Audience.MERCHANT)
    second = await service.refresh(runtime.tx, Refresh(first.refresh_token))
    assert second.refresh_token != first.refresh_token
    assert who(runtime, second.access_token) == who(runtime, first.access_token)
    third = await service.refresh(runtime.tx, Refresh(second.refresh_token))
    assert third.account == first.account


async def test_a_refresh_token_used_again_ends_the_session(runtime: Any) -> None:
    await make_account(runtime, "buyer1")
    first = await sign_in(runtime, "buyer1")
    second = await service.refresh(runtime.tx, Refresh(first.refresh_token))
    with pytest.raises(Unauthorized) as refused:
        await service.refresh(runtime.tx, Refresh(first.refresh_token))
    assert refused.value.code == "refresh_refused"
    with pytest.raises(Unauthorized):
        await service.refresh(runtime.tx, Refresh(second.refresh_token))
    with pytest.raises(Unauthorized):
        async with runtime.tx(scopes.of(who(runtime, second.access_token))) as tx:
            await tx.fetchval("select 1")


async def test_one_refresh_token_used_twice_at_once_gives_at_most_one_answer(runtime: Any) -> None:
    await make_account(runtime, "buyer1")
    given = await sign_in(runtime, "buyer1")
    calls = [service.refresh(runtime.tx, Refresh(given.refresh_token)) for _ in range(4)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(a, Unauthorized) for a in answers) == 3


async def test_rubbish_and_guesses_refresh_nothing_and_end_nothing(runtime: Any) -> None:
    await make_account(runtime, "buyer1")
    given = await sign_in(runtime, "buyer1")
    session = given.refresh_token.split(".")[0]
    for token in ("rubbish", ".", f"{session}.", f"{session}.guess", given.access_token[:128]):
        with pytest.raises(Unauthorized):
            await service.refresh(runtime.tx, Refresh(token))
    assert await service.refresh(runtime.tx, Refresh(given.refresh_token))


async def test_a_refresh_token_ends_with_its_session(runtime: Any) -> None:
    await make_account(runtime, "buyer1")
    given = await sign_in(runtime, "buyer1")
    late = timedelta(seconds=runtime.env.settings.refresh_token_ttl + 1)

    def later(scope: scopes.Scope) -> Tx:
        return Tx(runtime.engine, runtime.snapshot, scope, runtime.env, lambda: system_clock() + late)

    with pytest.raises(Unauthorized):
        await service.refresh(later, Refresh(given.refresh_token))


async def test_only_hashes_of_secrets_are_kept(runtime: Any) -> None:
    await make_account(runtime, "buyer1")
    given = await sign_in(runtime, "buyer1")
    async with runtime.tx(SYSTEM) as tx:
        kept = await tx.fetchval("select concat(a::text, s::text) from account a, session s")
    secret = given.refresh_token.split(".")[1]
    assert PASSWORD not in kept
    assert secret not in kept
    assert secret.encode().hex() not in kept


async def test_registration_signs_in(runtime: Any) -> None:
    given = await service.register(runtime.tx, Registration("New.Buyer", PASSWORD, " 小\x00明 "))
    assert given.account.nickname == "小明"
    assert who(runtime, given.access_token).audience is Audience.SHOP
    assert await sign_in(runtime, "new.buyer")
    with pytest.raises(Conflict) as refused:
        await service.register(runtime.tx, Registration("new.BUYER", PASSWORD, "x"))
    assert refused.value.code == "login_taken"


async def test_registration_can_be_closed(runtime: Any) -> None:
    with pytest.raises(Forbidden) as refused:
        await service.register(with_settings(runtime, registration=False), Registration("new", PASSWORD, "x"))
    assert refused.value.code == "registration_closed"


@pytest.mark.parametrize(
    ("login", "password", "nickname", "field"),
    [
        ("ab", PASSWORD, "x", "login"),
        ("new\n", "short", "x", "password"),
        ("-new", PASSWORD, "x", "login"),
        ("新用户", PASSWORD, "x", "login"),
        ("new", PASSWORD, " \x00 ", "nickname"),
    ],
)
async def test_registration_names_the_bad_field(
    runtime: Any, login: str, password: str, nickname: str, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await service.register(runtime.tx, Registration(login, password, nickname))
    assert [e.field for e in refused.value.extra["errors"]] == [field]


async def test_ten_failures_close_a_login_and_not_another(runtime: Any) -> None:
    await make_account(runtime, "buyer1")
    await make_account(runtime, "buyer2")
    limited = with_settings(runtime, rate_limits=True)

    async def attempt(login: str, password: str) -> Any:
        given = SignIn(provider="password", login=login, password=password)
        return await service.sign_in(limited, runtime.redis, given)

    tries = [attempt(login, "wrong-password") for login in ["buyer1", "BUYER1 "] * 6]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(a, Unauthorized) for a in answers) == 10
    assert sum(isinstance(a, TooManyRequests) for a in answers) == 2
    with pytest.raises(TooManyRequests) as refused:
        await attempt("buyer1", PASSWORD)
    assert 0 < refused.value.extra["retry_after"] <= 900
    assert await attempt("buyer2", PASSWORD)
    assert not [k for k in await runtime.redis.keys("*") if b"buyer" in k]


async def test_success_begins_the_count_anew(runtime: Any) -> None:
    await make_account(runtime, "buyer1")
    limited = with_settings(runtime, rate_limits=True)
    right = SignIn(provider="password", login="buyer1", password=PASSWORD)
    wrong = msgspec.structs.replace(right, password="wrong-password")
    for _ in range(2):
        for _ in range(9):
            with pytest.raises(Unauthorized):
                await service.sign_in(limited, runtime.redis, wrong)
        assert await service.sign_in(limited, runtime.redis, right)
