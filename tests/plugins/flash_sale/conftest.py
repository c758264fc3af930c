"""A market with flash sales and coupons."""

import pytest

from core.testkit import Plugins
from tests.support.flash_sales import installed


@pytest.fixture
def jishi_plugins() -> Plugins:
    """Only these two."""
    return installed()
