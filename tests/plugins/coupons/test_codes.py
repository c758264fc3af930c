"""Codes: made, typed in, used up; exact when many type at once."""

import asyncio
import csv
import io
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import given, strategies

from core.api import MARKET_ID, Audience, new_id, parse_pair
from core.kit.settings import Settings
from core.types import scope as scopes
from core.types.scope import SYSTEM
from plugins.coupons import claiming, codes, handing
from plugins.coupons.schemas import CodesIn
from tests.support.coupons import held, issue, numbers, outcome
from tests.support.placed_orders import bearer


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With the limits on calls that guessing runs into."""
    import msgspec

    return msgspec.structs.replace(settings, rate_limits=True)


async def make(runtime: Any, template_id: str, **data: Any) -> list[str]:
    issuer = parse_pair(template_id)[0]
    scope = scopes.PLATFORM if issuer == MARKET_ID else scopes.merchant(issuer)
    async with runtime.tx(scope) as tx:
        return (await codes.make(tx, issuer, template_id, CodesIn(**data))).codes


async def redeem(runtime: Any, account_id: UUID, code: str) -> Any:
    async with runtime.tx(SYSTEM) as tx:
        return await claiming.redeem(tx, account_id, code)


async def test_a_random_code_gives_one_coupon_to_one_account(runtime: Any) -> None:
    shop, one, two = new_id(), new_id(), new_id()
    template = await issue(runtime, shop, claim="code")
    made = await make(runtime, template, count=3)
    assert len(set(made)) == 3
    assert all(len(code) == 12 and set(code) <= set(codes.ALPHABET) for code in made)
    assert set("0O1IL").isdisjoint(codes.ALPHABET)
    coupon = await redeem(runtime, one, f" {made[0][:4].lower()}-{made[0][4:]}\t")
    assert (coupon.template.id, coupon.origin, coupon.status) == (template, "code", "unused")
    assert await outcome(redeem(runtime, two, made[0])) == "code_used_up"
    assert await outcome(redeem(runtime, two, made[1])) == "ok"
    assert (await numbers(runtime, template)).claimed == 2


async def test_each_refusal_of_a_code_has_its_own_reason(runtime: Any) -> None:
    one = new_id()
    template = await issue(runtime, claim="code", total=3, per_account=2)
    await make(runtime, template, code="spring 26", uses=50)
    for unknown in ("SPRING2", "", "   ", "x' or true --", "\x00", "春" * 30):
        assert await outcome(redeem(runtime, one, unknown)) == "unknown_code"
    assert await outcome(redeem(runtime, one, "Ｓpring-26")) == "ok"
    assert await outcome(redeem(runtime, one, "SPRING26")) == "code_already_used"
    first, second = await make(runtime, template, count=2, uses=2)
    assert await outcome(redeem(runtime, one, first)) == "ok"
    assert await outcome(redeem(runtime, one, second)) == "claim_limit"
    assert await outcome(redeem(runtime, new_id(), second)) == "ok"
    assert await outcome(redeem(runtime, new_id(), second)) == "sold_out"
    async with runtime.tx(SYSTEM) as tx:
        page = await codes.listed(tx, MARKET_ID, template, None, 100)
    assert {c.code: (c.used, c.uses) for c in page.items} == {
        first: (1, 2),
        second: (1, 2),
        "SPRING26": (1, 50),
    }


async def test_a_code_of_ones_own_is_unique_in_the_whole_market(runtime: Any) -> None:
    of_shop, of_market = await issue(runtime, new_id(), claim="code"), await issue(runtime, claim="code")
    assert await make(runtime, of_shop, code="新年 快乐 2026", uses=5) == ["新年快乐2026"]
    assert await outcome(make(runtime, of_market, code="新年快乐2026")) == "code_taken"
    for wrong in ({"code": "abc"}, {"code": "a_b_c"}, {"code": "x" * 33}, {"code": "ABCD", "count": 1}, {}):
        assert await outcome(make(runtime, of_market, **wrong)) == "invalid"
    assert await outcome(make(runtime, await issue(runtime), count=1)) == "not_by_code"
    foreign = await issue(runtime, new_id(), claim="code")
    async with runtime.tx(SYSTEM) as tx:
        assert await outcome(codes.make(tx, MARKET_ID, foreign, CodesIn(count=1))) == "not_found"


async def test_codes_are_listed_and_exported_page_by_page(
    runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "EXPORTED", 3)
    template = await issue(runtime, claim="code")
    made = sorted(await make(runtime, template, count=5, uses=2))
    async with runtime.tx(scopes.PLATFORM) as tx:
        page = await codes.listed(tx, MARKET_ID, template, None, 4)
        rest = await codes.listed(tx, MARKET_ID, template, page.next_cursor, 4)
        first, after = await codes.exported(tx, MARKET_ID, template, None)
        second, end = await codes.exported(tx, MARKET_ID, template, after)
    assert [c.code for c in [*page.items, *rest.items]] == made
    rows = [*csv.DictReader(io.StringIO(first.decode("utf-8-sig")))]
    rows += csv.DictReader(io.StringIO(second.decode("utf-8-sig")))
    assert rows == [{"code": code, "uses": "2", "used": "0"} for code in made]
    assert end is None


async def test_nobody_reads_codes_but_their_issuer(runtime: Any) -> None:
    template = await issue(runtime, new_id(), claim="code")
    await make(runtime, template, count=2)
    for scope in (scopes.ANONYMOUS, scopes.buyer(new_id()), scopes.merchant(new_id())):
        async with runtime.tx(scope) as tx:
            assert await tx.fetchval("select count(*) from coupons_code") == 0


async def test_many_at_once_get_exactly_the_uses_of_a_code(runtime: Any) -> None:
    template = await issue(runtime, claim="code")
    await make(runtime, template, code="RUSH", uses=5)
    found = await asyncio.gather(*(outcome(redeem(runtime, new_id(), "rush")) for _ in range(20)))
    assert (found.count("ok"), found.count("code_used_up")) == (5, 15)
    assert (await numbers(runtime, template)).claimed == 5


async def test_one_account_at_once_gets_one_coupon_for_a_code(runtime: Any) -> None:
    template, buyer = await issue(runtime, claim="code", per_account=9), new_id()
    await make(runtime, template, code="RUSH", uses=50)
    found = await asyncio.gather(*(outcome(redeem(runtime, buyer, "rush")) for _ in range(10)))
    assert (found.count("ok"), found.count("code_already_used")) == (1, 9)
    assert len(await held(runtime, buyer)) == 1
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select used from coupons_code") == 1


_USE_UNCHECKED = """
with seen as materialized (select code from coupons_code where code = $1 and used < uses)
update coupons_code c set used = least(c.uses, c.used + 1) from seen where c.code = seen.code
returning c.merchant_id, c.template_id
"""


async def test_without_the_condition_a_code_would_be_used_too_often(
    runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: two look at the code at once and both find it unused."""
    monkeypatch.setattr(handing, "_USE_CODE", _USE_UNCHECKED)
    template = await issue(runtime, claim="code")
    await make(runtime, template, code="ONCE")
    async with runtime.tx(SYSTEM) as first:
        await claiming.redeem(first, new_id(), "ONCE")
        second = asyncio.create_task(outcome(redeem(runtime, new_id(), "ONCE")))
        await asyncio.sleep(0.1)
        assert not second.done()
    assert await second == "ok"
    assert (await numbers(runtime, template)).claimed == 2


async def test_guessing_codes_is_slowed_down(runtime: Any, client: httpx.AsyncClient) -> None:
    buyer = await bearer(runtime, Audience.SHOP)
    found = [
        (await client.post("/api/shop/coupons/redeem", json={"code": f"GUESS{n}"}, headers=buyer))
        for n in range(11)
    ]
    assert [answer.status_code for answer in found] == [404] * 10 + [429]
    assert {answer.json()["code"] for answer in found[:10]} == {"unknown_code"}


@given(strategies.text(strategies.characters(categories=["L", "N", "Zs", "Pd"]), max_size=40))
def test_a_code_that_is_kept_is_found_again_however_it_is_typed(text: str) -> None:
    kept = codes.normal(text)
    assert codes.normal(kept) == kept or not kept.isascii()
    assert codes.normal(f" {kept[:3]}-{kept[3:]}\t") == codes.normal(kept)
    if kept.isascii():
        assert codes.normal(kept.lower()) == kept
