"""A till for tests of refunds."""

import httpx
import pytest

from core.deployment.runtime import Runtime
from tests.support.refunds import Till


@pytest.fixture
def till(runtime: Runtime, client: httpx.AsyncClient) -> Till:
    """See `Till`."""
    return Till(runtime, client)
