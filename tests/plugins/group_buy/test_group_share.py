"""What a mini-program shares of a group."""

import re
from typing import Any

import pytest

from core.testkit import Plugins
from core.testkit.market import Market
from core.types.scope import SYSTEM
from tests.plugins.group_buy.conftest import plugins
from tests.plugins.group_buy.market_events import SHOP
from tests.support.groups import scene


@pytest.fixture
def jishi_plugins() -> Plugins:
    """With a page of its own."""
    return plugins({"share_page": "packageA/group"})


async def test_a_group_comes_with_the_card_and_the_scene_of_a_mini_program(market: Market) -> None:
    at = await scene(market, size=3, leader_price=6_000)
    leader, member = await market.buyer(), await market.buyer()
    group = await at.open(person=leader, price=6_000)
    code = (await at.mine(leader))[0]["code"]
    page: dict[str, Any] = (await market.client.get(f"{SHOP}/groups/{code}")).json()
    # Who joins pays the price of members.
    assert page["share"] == {
        "title": "还差2人，70元拼Tea",
        "path": f"packageA/group?code={code}",
        "image_url": page["product"]["image_url"],
        "page": "packageA/group",
        "scene": code,
    }
    assert re.fullmatch(r"[0-9A-Za-z]{1,32}", page["share"]["scene"])
    for person in (member, await market.buyer()):
        await at.join(person, group)
    full = (await market.client.get(f"{SHOP}/groups/{code}")).json()
    assert full["share"]["title"] == "70元拼Tea"


async def test_long_titles_are_cut_to_what_a_card_has_room_for(market: Market) -> None:
    at = await scene(market)
    async with market.runtime.tx(SYSTEM) as tx:
        await tx.execute("update listing set title = $1", "茶" * 100)
    leader = await market.buyer()
    await at.open(person=leader)
    code = (await at.mine(leader))[0]["code"]
    share = (await market.client.get(f"{SHOP}/groups/{code}")).json()["share"]
    assert share["title"] == "还差1人，70元拼" + "茶" * 30
