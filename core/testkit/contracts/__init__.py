"""What every plugin must keep to, as tests that a plugin's own suite runs in one line::

    from core.testkit.contracts import contract_tests
    from my_plugin import MyPlugin

    test_contracts = contract_tests(MyPlugin)

Each check is an async function that takes a `Subject` and answers with what is wrong, one clear sentence each.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from core.plugin import Plugin, PluginError, discover
from core.testkit.contracts.budgets import statements_per_hook, statements_per_line
from core.testkit.contracts.manifest import (
    absent,
    alone,
    any_order,
    config,
    events,
    fits,
    hooks_described,
    hooks_tested,
    no_pluggy_options,
    permissions,
)
from core.testkit.contracts.routes import bodies, by_audience, foreign_ids
from core.testkit.contracts.subject import Prepare, Subject
from core.testkit.contracts.tables import (
    append_only,
    autogenerate,
    declared,
    protected,
    strangers,
    up_down_up,
)
from core.testkit.servers import Servers

Check = Callable[[Subject], Awaitable[list[str]]]

CHECKS: Mapping[str, Check] = {
    f.__name__: f
    for f in (
        fits,
        alone,
        absent,
        any_order,
        no_pluggy_options,
        config,
        permissions,
        events,
        hooks_described,
        hooks_tested,
        by_audience,
        bodies,
        foreign_ids,
        declared,
        protected,
        strangers,
        append_only,
        up_down_up,
        autogenerate,
        statements_per_hook,
        statements_per_line,
    )
}

__all__ = ["CHECKS", "Prepare", "Subject", "check_plugin", "contract_tests"]


async def check_plugin(
    cls: type[Plugin],
    servers: Servers,
    *,
    tests: Path | None = None,
    prepare: Prepare | None = None,
    only: str | None = None,
) -> list[str]:
    """All that is wrong with a plugin, or what the check `only` finds; each begins with the check's name.

    `tests`: the folder of its tests, in which each hook must be named. `prepare`: makes business of the plugin for the
    purchases whose statements are counted, see `Prepare`.
    """
    subject = Subject(cls, servers, {**discover(), cls.name: cls}, tests, prepare)
    found: list[str] = []
    for name in (only,) if only is not None else CHECKS:
        try:
            found += [f"{name}: {fault}" for fault in await CHECKS[name](subject)]
        except PluginError as error:
            found.append(f"{name}: {error}")
    return found


def contract_tests(*classes: type[Plugin], tests: Path | None = None, prepare: Prepare | None = None) -> Any:
    """A test for each check of each class. See `check_plugin`."""

    @pytest.mark.asyncio
    @pytest.mark.parametrize("check", CHECKS)
    @pytest.mark.parametrize("plugin", classes, ids=lambda cls: cls.name)
    async def keeps(plugin: type[Plugin], check: str, jishi_servers: Servers) -> None:
        found = await check_plugin(plugin, jishi_servers, tests=tests, prepare=prepare, only=check)
        assert not found, "\n".join(found)

    return keeps
