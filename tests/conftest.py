"""The fixtures of all tests are those of the test kit (`core.testkit.plugin`), as integrators have them."""

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as trying

from core.db import migrations
from core.testkit import Database

# How long drawing examples takes says how busy the machine is, nothing about what is tested.
trying.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
trying.load_profile("busy")


@pytest.fixture(scope="session")
def core_history() -> migrations.History:
    """Core's migrations."""
    return migrations.CORE


@pytest.fixture
def owner(database: Database) -> str:
    """The owner's DSN for raw looks at the tables; remember that row-level security is forced on it too."""
    return database.owner_dsn


_LONG = ("tests/journeys/", "tests/stress/", "tests/examples/", "tests/browser/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, or one process would still be at it when the others are done."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))
