"""The fixtures of all tests are those of the test kit (`core.testkit.plugin`), as integrators have them."""

import pytest

from core.db import migrations
from core.testkit import Database


@pytest.fixture(scope="session")
def core_history() -> migrations.History:
    """Core's migrations."""
    return migrations.CORE


@pytest.fixture
def owner(database: Database) -> str:
    """The owner's DSN for raw looks at the tables; remember that row-level security is forced on it too."""
    return database.owner_dsn
