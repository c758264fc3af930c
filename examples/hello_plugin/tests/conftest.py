"""The market of these tests has the plugin as it lies here, whether it is installed or not."""

import pytest
from hello_plugin import RoundOffPlugin

from core.testkit import Plugins


@pytest.fixture
def jishi_plugins() -> Plugins:
    """All installed plugins and this one, switched on."""
    return Plugins(also=[RoundOffPlugin], config={"round_off": {"unit": 500}})
