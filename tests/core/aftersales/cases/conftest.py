"""A desk for tests of cases."""

import msgspec
import pytest

from core.kit.settings import Settings
from core.testkit import Database, Market
from tests.support.cases import Desk


@pytest.fixture
def settings(database: Database) -> Settings:
    """With the time that buyers really have."""
    return msgspec.structs.replace(database.settings(), aftersales_window=7 * 86400)


@pytest.fixture
async def desk(market: Market) -> Desk:
    """See `Desk`."""
    made = Desk(market)
    await made.set_up()
    return made
