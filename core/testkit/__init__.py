"""The test kit: a market on real servers for the tests of jishi and of plugins (`docs/testing.md`).

Installing jishi gives pytest the fixtures (`core.testkit.plugin`). Nothing here is loaded before a test asks for it, and no
other part of core imports it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.testkit.baskets import basket, line, rule_kinds, take
    from core.testkit.clock import TestClock
    from core.testkit.counting import statements
    from core.testkit.database import Database
    from core.testkit.installed import Plugins
    from core.testkit.live import Server
    from core.testkit.market import Article, Market, Person, Shop

_HOMES = {
    "Article": "market",
    "Database": "database",
    "Market": "market",
    "Person": "market",
    "Plugins": "installed",
    "Server": "live",
    "Shop": "market",
    "TestClock": "clock",
    "basket": "baskets",
    "line": "baskets",
    "rule_kinds": "baskets",
    "statements": "counting",
    "take": "baskets",
}

__all__ = [
    "Article",
    "Database",
    "Market",
    "Person",
    "Plugins",
    "Server",
    "Shop",
    "TestClock",
    "basket",
    "line",
    "rule_kinds",
    "statements",
    "take",
]


def __getattr__(name: str) -> Any:
    """Loaded at the first use, so that runs without a market pay nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
