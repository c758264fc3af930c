"""Which hooks a step of the flow asks, and which plugins answer: written down while it runs."""

import functools
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from core.hooks import Hooks, Kind


class Trace:
    """The calls of the present step as (hook, kind, plugin); a hook that nobody implements has the plugin ""."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Kind, str]] = []

    def asked(self, spec: Any, plugin: str = "") -> None:
        """Note one call; a hook asked again by the same step, of the same plugin, is noted once."""
        call = (spec.__name__, spec.jishi_kind, plugin)
        if call not in self.calls:
            self.calls.append(call)

    @contextmanager
    def step(self) -> Iterator[list[tuple[str, Kind, str]]]:
        """The calls of what is done inside."""
        self.calls = []
        yield self.calls


@pytest.fixture
def hook_trace(monkeypatch: pytest.MonkeyPatch) -> Trace:
    """Records every call of a hook in this process."""
    trace, of, about, find = Trace(), Hooks.of, Hooks.about, Hooks.find

    def traced(spec: Any, plugin: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(call)
        async def run(*args: Any) -> Any:
            trace.asked(spec, plugin)
            return await call(*args)

        return run

    def all_of(self: Hooks, spec: Any) -> Any:
        if spec.jishi_kind is Kind.EFFECT:
            return of(self, spec)
        found = of(self, spec)
        if not found:
            trace.asked(spec)
        return tuple((plugin, traced(spec, plugin, call)) for plugin, call in found)

    def of_order(self: Hooks, spec: Any, contributors: Collection[str] | None) -> Any:
        found = about(self, spec, contributors)
        if not found:
            trace.asked(spec)
        return found

    def one(self: Hooks, name: str, plugin: str) -> Any:
        call = find(self, name, plugin)
        return traced(self.specs[name], plugin, call) if call is not None else None

    monkeypatch.setattr(Hooks, "of", all_of)
    monkeypatch.setattr(Hooks, "about", of_order)
    monkeypatch.setattr(Hooks, "find", one)
    return trace
