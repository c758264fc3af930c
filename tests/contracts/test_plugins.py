"""Every installed plugin keeps to the contracts of the test kit; core too, where they are about tables and routes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from litestar.routes import HTTPRoute

from core.db import migrations
from core.db.migrations import CORE
from core.models import METADATA
from core.plugin import Plugin, PluginError, discover
from core.testkit import Database, Plugins
from core.testkit.contracts import CHECKS, Subject, check_plugin, contract_tests, routes, tables
from core.testkit.database import fresh
from core.testkit.market import Article, Market, Person
from core.testkit.servers import Servers
from core.web.app import build_app
from plugins.membership.schemas import SkuPrice
from tests.contracts import sloppy
from tests.support.coupons import claim, issue
from tests.support.membership import give, level

ROOT = Path(__file__).parents[2]


async def held_coupons(market: Market, person: Person, goods: list[Article]) -> Mapping[str, Any]:
    """A coupon of the market and one of each shop, all of which apply."""
    for merchant_id in {article.merchant_id for article in goods}:
        template = await issue(market.runtime, merchant_id, amount=100)
        await claim(market.runtime, person.me.account_id, template)
    await claim(market.runtime, person.me.account_id, await issue(market.runtime, amount=100))
    return {}


async def a_member(market: Market, person: Person, goods: list[Article]) -> Mapping[str, Any]:
    """A level of the market and of each shop, with a price for each SKU, and points to use."""
    operator = await market.operator()
    growth = len((await operator.get("/api/platform/membership/levels")).json())
    prices = tuple(SkuPrice(article.ref, article.price - 100) for article in goods)
    await level(market.runtime, growth=growth, prices=prices)
    for merchant_id in {article.merchant_id for article in goods}:
        await level(market.runtime, merchant_id, growth=growth)
    await give(market.runtime, person.me.account_id, 300, f"contract {growth}")
    return {"membership": {"points": "max"}}


_classes = discover()
test_coupons = contract_tests(_classes.pop("coupons"), tests=ROOT / "tests", prepare=held_coupons)
test_membership = contract_tests(_classes.pop("membership"), tests=ROOT / "tests", prepare=a_member)
test_contracts = contract_tests(*_classes.values(), tests=ROOT / "tests")


async def test_core_has_no_drift(database: Database) -> None:
    assert await tables.drift(database, CORE, METADATA) == []


async def test_core_goes_down_and_up(jishi_servers: Servers) -> None:
    async with fresh(jishi_servers, Plugins(), migrated=False) as database:
        await migrations.upgrade(database.owner_url, [CORE])
        assert await tables.down_and_up(database, CORE, METADATA.tables.values()) == []
        assert await tables.drift(database, CORE, METADATA) == []


async def test_no_route_of_core_shows_or_changes_what_is_anothers(market: Market) -> None:
    assert await routes.foreign_ids_in(market, METADATA.tables.values()) == []


def test_no_body_of_core_takes_unknown_fields() -> None:
    app = build_app((), sandbox=True)
    assert routes.lenient(h for r in app.routes if isinstance(r, HTTPRoute) for h in r.route_handlers) == []


BROKEN: list[tuple[str, type[Plugin], str]] = [
    ("fits", sloppy.Clashing, "Permission coupons.manage is declared by both"),
    ("alone", sloppy.Lonely, "requires nowhere, which is not installed"),
    ("any_order", sloppy.Moody, "what moody declares differ"),
    ("no_pluggy_options", sloppy.First, "first.price_rules uses tryfirst"),
    ("alone", sloppy.First, "uses a pluggy option"),
    ("config", sloppy.LooseConfig, "Loose.needed has no default"),
    ("config", sloppy.LooseConfig, "Loose.bare is not described"),
    ("config", sloppy.LooseConfig, "Loose takes any field"),
    ("permissions", sloppy.Sloppy, "sloppy.never of merchant staff is declared, but no merchant route asks"),
    ("permissions", sloppy.Sloppy, "asks for sloppy.look, which is not among the permissions"),
    ("permissions", sloppy.Sloppy, "Permission other.x must be called sloppy.<verb>"),
    ("events", sloppy.Sloppy, "The payload of event sloppy_happened does not"),
    ("events", sloppy.Odd, "Event sloppy_ignored is no effect"),
    ("hooks_described", sloppy.Sloppy, "sloppy.order_placing has no docstring"),
    ("hooks_tested", sloppy.Sloppy, "No test is named after price_rules"),
    ("by_audience", sloppy.Sloppy, "asks buyers for a permission"),
    ("by_audience", sloppy.Sloppy, "POST /api/merchant/sloppy/notes/{bare_id:str}/wipe is open to all merchant staff"),
    ("by_audience", sloppy.Sloppy, "writes for anybody"),
    ("bodies", sloppy.Sloppy, "Part in the body of POST /open takes any field"),
    ("foreign_ids", sloppy.Sloppy, "GET /api/merchant/sloppy/notes/{bare_id} with another's row of table sloppy_bare shows"),
    ("foreign_ids", sloppy.Sloppy, "A merchant route changed another's row in table sloppy_bare"),
    ("declared", sloppy.Keyless, "Key (id) of table keyless_goods must begin with merchant_id"),
    ("declared", sloppy.Keyless, "Table keyless_notes declares no class"),
    ("protected", sloppy.Sloppy, "Row-level security of table sloppy_bare is not forced"),
    ("protected", sloppy.Keyless, "No migration makes table keyless_goods"),
    ("strangers", sloppy.Sloppy, "Anybody sees 1 rows of table sloppy_shown instead of 0"),
    ("strangers", sloppy.Sloppy, "Anybody deletes rows of table sloppy_bare"),
    ("append_only", sloppy.Sloppy, "Table sloppy_log is append-only, but this is allowed"),
    ("up_down_up", sloppy.Sloppy, "leave sloppy_log behind on the way down"),
    ("up_down_up", sloppy.Keyless, "has tables but no migrations"),
    ("autogenerate", sloppy.Sloppy, "Models and migrations of sloppy differ"),
    ("autogenerate", sloppy.Sloppy, "Check sloppy_bare.ck_sloppy_bare_note"),
    ("statements_per_hook", sloppy.Sloppy, "a load sends at most 1"),
    ("statements_per_hook", sloppy.Sloppy, "sloppy.order_placing sent 10 statements for 2 order(s)"),
    ("statements_per_line", sloppy.Sloppy, "the quote sends"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "cls", "sentence"), BROKEN, ids=[f"{c}-{p.name}-{n}" for n, (c, p, _) in enumerate(BROKEN)]
)
async def test_what_breaks_a_contract_is_found_and_said(
    jishi_servers: Servers, tmp_path: Path, check: str, cls: type[Plugin], sentence: str
) -> None:
    found = await check_plugin(cls, jishi_servers, tests=tmp_path, only=check)
    assert any(sentence in fault for fault in found), found


async def test_a_plugin_that_another_clings_to_is_not_absent_unnoticed(jishi_servers: Servers) -> None:
    both = {"needed": sloppy.Needed, "clinging": sloppy.Clinging}
    with pytest.raises(PluginError, match="there is no hook sloppy_happened"):
        await CHECKS["absent"](Subject(sloppy.Needed, jishi_servers, both))


def test_every_check_has_a_plugin_that_breaks_it() -> None:
    assert {check for check, _, _ in BROKEN} | {"absent"} == set(CHECKS)
