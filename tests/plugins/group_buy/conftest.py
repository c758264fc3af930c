"""The market of these tests: what they need and nothing that would bring prices of its own."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from core.plugin import discover
from core.testkit import Plugins
from tests.support.groups import Ear

NEEDED = ("commission", "coupons", "group_buy")


def plugins(config: Mapping[str, Any]) -> Plugins:
    """Without freight, so that the group price is what is paid; with this config of group-buying."""
    classes = discover()
    also = (*[classes[name] for name in NEEDED], Ear)
    return Plugins(also=also, only=True, config={"group_buy": config})


@pytest.fixture
def jishi_plugins() -> Plugins:
    """Groups may be filled up."""
    return plugins({"virtual_fill_allowed": True})


@pytest.fixture
def heard() -> Iterator[list[tuple[str, str, int]]]:
    """What the plugin's events told: (event, group, number of orders)."""
    Ear.heard.clear()
    yield Ear.heard
    Ear.heard.clear()
