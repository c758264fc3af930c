"""Promotions are the only tool here; how they meet others is priced without any server."""

import pytest

from core.testkit import Market, Plugins
from plugins.promotions.plugin import PromotionsPlugin
from tests.support.promotions import Fair


@pytest.fixture
def jishi_plugins() -> Plugins:
    return Plugins(also=(PromotionsPlugin,), only=True)


@pytest.fixture
def fair(market: Market) -> Fair:
    return Fair(market)
