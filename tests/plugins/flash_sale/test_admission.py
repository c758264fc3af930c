"""Request tokens and the admission: what gets nobody more, and what holds without Redis."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from core.kit.settings import Settings
from core.testkit import Database, Market, Plugins, TestClock
from core.testkit.counting import statements
from core.testkit.market import Article, Person
from plugins.flash_sale import admission
from tests.support.flash_sales import admitted, choice, good, goods, installed, shop_sale, standing

GUARDED = {"token_required": True}


@pytest.fixture(params=[True, False], ids=["redis", "no-redis"])
def redis_up(request: pytest.FixtureRequest) -> bool:
    """Whether Redis answers."""
    return bool(request.param)


@pytest.fixture
async def gated(market: Market, redis_up: bool) -> AsyncIterator[Market]:
    """A market whose Redis may be away."""
    redis = market.runtime.redis
    pool = redis.connection_pool
    away: Any = type(redis).from_url("redis://127.0.0.1:1", socket_connect_timeout=1)
    if not redis_up:
        redis.connection_pool = away.connection_pool
    yield market
    redis.connection_pool = pool
    await away.aclose()


async def _token(person: Person, activity: str, article: Article) -> str:
    token: str = (await good(await admitted(person, activity, article)))["token"]
    return token


async def _codes(person: Person, article: Article, activity: str, token: str | None) -> str:
    """What becomes of the flash price with this token."""
    quote = await good(await person.quote((article.ref, 1), options=choice(activity, token)))
    told = next(e for e in quote["explain"] if e["plugin"] == "flash_sale")
    code: str = told["code"] if told["outcome"] == "refused" else told["outcome"]
    return code


async def test_a_token_buys_once(gated: Market) -> None:
    _, [article] = await goods(gated)
    activity = await shop_sale(gated, article, per_account=5, event=GUARDED)
    person = await gated.buyer()
    assert await _codes(person, article, activity, None) == "token_required"
    token = await _token(person, activity, article)
    assert await _token(person, activity, article) == token
    await good(await person.checkout((article.ref, 1), options=choice(activity, token)))
    assert await _codes(person, article, activity, token) == "token_used"
    # Used up, so there is another one.
    again = await _token(person, activity, article)
    assert again != token
    await good(await person.checkout((article.ref, 1), options=choice(activity, again)))
    assert await standing(gated.runtime, activity) == (2, 2, 2)


async def test_a_token_of_another_is_worth_nothing(gated: Market, clock: TestClock) -> None:
    clock.freeze()
    _, [article, other] = await goods(gated, 2)
    activity = await shop_sale(gated, article, event=GUARDED)
    elsewhere = await shop_sale(gated, other, event=GUARDED)
    person, thief = await gated.buyer(), await gated.buyer()
    token = await _token(person, activity, article)
    assert await _codes(thief, article, activity, token) == "token_invalid"
    assert await _codes(person, other, elsewhere, token) == "token_invalid"
    raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    longer = raw[:16] + b"\x00\x00\x01" + raw[19:]
    for forged in ("", "x", "é", token[:-2], urlsafe_b64encode(longer).decode().rstrip("=")):
        assert await _codes(person, article, activity, forged) == "token_invalid"
    clock.advance(seconds=300)
    assert await _codes(person, article, activity, token) == "token_invalid"


async def test_one_token_in_many_checkouts_buys_once(gated: Market) -> None:
    _, [article] = await goods(gated)
    activity = await shop_sale(gated, article, per_account=9, event=GUARDED)
    person = await gated.buyer()
    options = choice(activity, await _token(person, activity, article))
    body = {"lines": [{"sku_id": article.ref, "quantity": 1}], "options": options, "expected_payable": 1000}
    answers = await asyncio.gather(*(person.post("/api/shop/checkout", body) for _ in range(6)))
    assert sorted(a.status_code for a in answers) == [201] + [409] * 5
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"token_used", "price_changed"}
    assert await standing(gated.runtime, activity) == (1, 1, 1)


async def test_admission_says_why_not(gated: Market, clock: TestClock) -> None:
    clock.freeze()
    _, [article, other] = await goods(gated, 2)
    activity = await shop_sale(gated, article, starts=10, ends=20, quantity=1)
    person = await gated.buyer()
    assert (await admitted(person, activity, article)).json()["code"] == "not_started"
    assert (await admitted(person, activity, other)).status_code == 404
    assert (await admitted(person, other.ref, article)).status_code == 404
    clock.advance(minutes=10)
    assert (await admitted(person, activity, article)).status_code == 200
    await good(await person.checkout((article.ref, 1), options=choice(activity)))
    await asyncio.sleep(admission._FRESH_S)
    assert (await admitted(await gated.buyer(), activity, article)).json()["code"] == "sold_out"
    clock.advance(minutes=10)
    assert (await admitted(person, activity, article)).json()["code"] == "flash_over"


async def test_no_more_are_let_in_than_could_buy(market: Market) -> None:
    _, [article] = await goods(market)
    activity = await shop_sale(market, article, quantity=2)
    people = [await market.buyer() for _ in range(8)]
    answers = await asyncio.gather(*(admitted(person, activity, article) for person in people))
    codes = [a.status_code for a in answers]
    # Three for each piece that is left.
    assert (codes.count(200), codes.count(409)) == (6, 2)
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"crowded"}
    # Who is in stays in.
    for person, answer in zip(people, answers, strict=True):
        again = await admitted(person, activity, article)
        assert again.json().get("token") == answer.json().get("token")


async def test_admission_in_a_rush_asks_the_database_once(market: Market) -> None:
    _, [article] = await goods(market)
    activity = await shop_sale(market, article, quantity=20)
    people = [await market.buyer() for _ in range(20)]
    with statements() as seen:
        answers = await asyncio.gather(*(admitted(person, activity, article) for person in people))
    assert {a.status_code for a in answers} == {200}
    assert len(seen) == 1, seen


async def test_a_rush_of_requests_that_hold_connections_does_not_stand_still(market: Market) -> None:
    _, [article] = await goods(market)
    activity = await shop_sale(market, article, quantity=20)
    people = [await market.buyer() for _ in range(30)]
    path = f"/api/shop/flash_sale/activities/{activity}/admission"
    # With an Idempotency-Key each has a connection before it asks. If those waited without end for the one that reads, and
    # that for a connection, nothing would ever go on; how long it takes is the machine's business.
    keyed = [person.post(path, {"sku_id": article.ref}) for person in people]
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*keyed, *(admitted(person, activity, article) for person in people))
    assert {a.status_code for a in answers} == {200}


async def test_redis_that_hangs_is_not_waited_for(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    _, [article] = await goods(market)
    activity = await shop_sale(market, article)

    async def hang(*_: object) -> str:
        await asyncio.sleep(60)
        return ""

    monkeypatch.setattr(market.runtime.redis, "eval", hang)
    began = asyncio.get_running_loop().time()
    for _ in range(3):
        assert (await admitted(await market.buyer(), activity, article)).status_code == 200
    assert asyncio.get_running_loop().time() - began < admission._PATIENCE_S + 1


class TestLimited:
    """With limits on calls."""

    @pytest.fixture
    def settings(self, database: Database) -> Settings:
        """Limits on."""
        return replace(database.settings(), rate_limits=True)

    async def test_machines_are_slowed_down(self, market: Market) -> None:
        _, [article] = await goods(market)
        activity = await shop_sale(market, article)
        person = await market.buyer()
        codes = [(await admitted(person, activity, article)).status_code for _ in range(22)]
        assert codes == [200] * 20 + [429] * 2


class TestShort:
    """With tokens of ten seconds."""

    @pytest.fixture
    def jishi_plugins(self) -> Plugins:
        """Short ones."""
        return installed(token_seconds=10)

    async def test_a_token_that_ended_is_replaced(self, market: Market, clock: TestClock) -> None:
        clock.freeze()
        _, [article] = await goods(market)
        activity = await shop_sale(market, article, event=GUARDED)
        person = await market.buyer()
        token = await _token(person, activity, article)
        clock.advance(seconds=30)
        assert await _codes(person, article, activity, token) == "token_invalid"
        again = await _token(person, activity, article)
        assert again != token
        assert await _codes(person, article, activity, again) == "applied"
