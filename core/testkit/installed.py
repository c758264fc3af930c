"""Which plugins a test has."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from core import hookspecs
from core.deployment.runtime import Runtime
from core.kit.clock import Clock, system_clock
from core.kit.settings import Env
from core.plugin import Plugin, check, discover
from core.worker.core_plugin import CorePlugin


class Plugins(msgspec.Struct, frozen=True):
    """The plugins of a test's market; what the fixture `jishi_plugins` returns.

    `also`: classes beyond those that are installed. `only`: the installed classes do not count, just those of `also`.
    `on`: names of those that are switched on; None means all. `config`: their configs by name, defaults otherwise.
    """

    also: Sequence[type[Plugin]] = ()
    only: bool = False
    on: Sequence[str] | None = None
    config: Mapping[str, Mapping[str, Any]] = {}

    def classes(self) -> dict[str, type[Plugin]]:
        """By name. Raises `PluginError` when they clash."""
        found = {} if self.only else dict(_installed())
        found |= {cls.name: cls for cls in self.also}
        _checked(tuple(found.values()))
        return found

    def enabled(self) -> list[str]:
        """Names of those that are on."""
        return sorted(self.classes() if self.on is None else self.on)

    def runtime(self, env: Env, clock: Clock = system_clock) -> Runtime:
        """A process with these plugins; open it before use."""
        return Runtime(env, self.classes(), hookspecs, always=(CorePlugin(),), clock=clock)


# What is installed stays so for the length of a run.
_installed = lru_cache(maxsize=1)(discover)


@lru_cache(maxsize=32)
def _checked(classes: tuple[type[Plugin], ...]) -> None:
    check(classes)
