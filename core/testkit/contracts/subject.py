"""What the checks look at."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from core import hookspecs
from core.plugin import Plugin, Snapshot, build
from core.testkit.database import Database, env_of, fresh
from core.testkit.installed import Plugins
from core.testkit.live import client_of
from core.testkit.market import Article, Market, Person
from core.testkit.servers import Servers

# Makes business of the plugin: coupons for the buyer, prices of articles. Answers with the `options` to buy with.
Prepare = Callable[[Market, Person, list[Article]], Awaitable[Mapping[str, Any]]]


class Subject(msgspec.Struct, frozen=True):
    """One plugin among those that are installed."""

    cls: type[Plugin]
    servers: Servers
    classes: Mapping[str, type[Plugin]]
    tests: Path | None = None
    prepare: Prepare | None = None

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self.cls.name

    def needed(self) -> dict[str, type[Plugin]]:
        """The plugin and what it requires, however indirectly; what is not installed is left out."""
        found: dict[str, type[Plugin]] = {}
        waiting = [self.name]
        while waiting:
            name = waiting.pop()
            if name in self.classes and name not in found:
                found[name] = self.classes[name]
                waiting += self.classes[name].requires
        return found

    def others(self) -> dict[str, type[Plugin]]:
        """All others, without those that require it."""
        left = {n: c for n, c in self.classes.items() if n != self.name}
        while True:
            lacking = [n for n, c in left.items() if any(r not in left for r in c.requires)]
            if not lacking:
                return left
            for name in lacking:
                del left[name]

    def snapshot(self, classes: Mapping[str, type[Plugin]]) -> Snapshot:
        """All of these switched on with their default configs. Raises `PluginError`."""
        return build(
            classes, hookspecs, generation=1, enabled={name: {} for name in classes}, winding_down={}
        )

    @asynccontextmanager
    async def database(self, *, migrated: bool = True) -> AsyncIterator[Database]:
        """A fresh database with all plugins."""
        async with fresh(self.servers, self._plugins(self.classes), migrated=migrated) as database:
            yield database

    @asynccontextmanager
    async def market(self, classes: Mapping[str, type[Plugin]] | None = None) -> AsyncIterator[Market]:
        """A market on a fresh database with all plugins, or with these."""
        plugins = self._plugins(classes if classes is not None else self.classes)
        async with fresh(self.servers, plugins) as database:
            runtime = plugins.runtime(env_of(database.settings()))
            await runtime.open()
            try:
                async with client_of(runtime) as client:
                    yield Market(runtime, client)
            finally:
                await runtime.close()

    def _plugins(self, classes: Mapping[str, type[Plugin]]) -> Plugins:
        return Plugins(also=tuple(classes.values()), only=True)
