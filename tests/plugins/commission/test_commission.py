"""The flat commission."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.api import MARKET_ID, CommissionBase, CommissionTerms
from core.plugin import PluginError, check, parse_config
from plugins.commission.config import CommissionConfig
from plugins.commission.plugin import CommissionPlugin
from plugins.commission.routes import preview
from plugins.commission.rules import FlatRate
from plugins.commission.schemas import Preview


def _terms(plugin: CommissionPlugin, goods: int, shipping: int = 0) -> CommissionTerms:
    return plugin.commission_provider().commission(CommissionBase(MARKET_ID, goods, shipping))


def test_the_worked_example_gives_475_on_9500_and_freight_is_left_out() -> None:
    assert _terms(CommissionPlugin(), 9_500, 800) == CommissionTerms(475, "flat 500 bp")


def test_the_configured_rate_counts_and_is_named_on_the_order() -> None:
    plugin = CommissionPlugin(parse_config(CommissionPlugin, {"rate_bp": 125}))
    assert _terms(plugin, 10_000) == CommissionTerms(125, "flat 125 bp")
    assert _terms(plugin, 60) == CommissionTerms(1, "flat 125 bp")


@pytest.mark.parametrize("config", [{"rate_bp": -1}, {"rate_bp": 3001}, {"rate_bp": "5"}, {"rate": 5}])
def test_a_rate_outside_its_bounds_is_refused(config: object) -> None:
    with pytest.raises(PluginError, match="commission"):
        parse_config(CommissionPlugin, config)


@given(goods=st.integers(0, 10**12), bp=st.integers(0, 3000))
def test_the_commission_is_never_negative_and_never_above_its_base(goods: int, bp: int) -> None:
    amount = FlatRate(bp).commission(CommissionBase(MARKET_ID, goods, 0)).amount
    assert 0 <= amount <= goods
    assert abs(amount * 10_000 - goods * bp) <= 5_000


async def test_the_operator_can_preview_the_present_rate() -> None:
    class Configured:
        def config(self, kind: type[CommissionConfig]) -> CommissionConfig:
            return kind(rate_bp=250)

    assert await preview.fn(Configured(), 9_500) == Preview(9_500, 238, "flat 250 bp")


def test_the_plugin_fits_core() -> None:
    check([CommissionPlugin])
    assert isinstance(CommissionPlugin().config, CommissionConfig)
