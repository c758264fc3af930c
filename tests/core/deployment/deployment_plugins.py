"""Plugins that fit and plugins that do not."""

from collections.abc import Awaitable, Callable
from typing import ClassVar

import msgspec

from core.db.tx import Tx
from core.deployment.runtime import Runtime
from core.hooks import hookimpl
from core.plugin import Plugin
from core.types.events import OrderEvent

Make = Callable[..., Awaitable[Runtime]]


class BaseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Config with a bound."""

    percent: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 100:
            raise ValueError("percent must be 0 to 100")


class Base(Plugin):
    name = "base"
    title = "Base"
    summary = "Others need it."
    Config = BaseConfig

    @hookimpl
    async def order_paid(self, tx: Tx, event: OrderEvent) -> None:
        """Takes the event."""


class Above(Plugin):
    name = "above"
    title = "Above"
    summary = "Needs the base."
    requires = ("base",)


class Misfit(Plugin):
    name = "misfit"
    title = "Misfit"
    summary = "Its hook takes other arguments than the spec."

    @hookimpl
    async def order_paid(self, tx: Tx) -> None:
        """Not as declared."""


class Unmigratable(Plugin):
    name = "unmigratable"
    title = "Unmigratable"
    summary = "Its migrations are not there."
    migrations: ClassVar[str | None] = "nowhere.to.be.found"


CLASSES: dict[str, type[Plugin]] = {c.name: c for c in (Base, Above, Misfit, Unmigratable)}
