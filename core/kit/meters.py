"""What each hook of each plugin takes: calls, time, statements, errors; counted where the hook is called.

Plain attributes instead of Prometheus counters, whose locks would cost more than all the rest; `/metrics` reads them.
"""

import functools
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import structlog

from core.kit import tracing
from core.kit.errors import JishiError

# What a load may take before the log names it.
LOAD_STATEMENTS = 1
LOAD_SECONDS = 0.1
_QUIET = 60.0

_log = structlog.get_logger("jishi.hooks")

Hook = Callable[..., Awaitable[Any]]


class Meter:
    """Totals of one hook of one plugin since the process began. `refused`: business errors, which a veto may raise;
    `failed`: all others. `over`: calls beyond the budget of a load."""

    __slots__ = (
        "calls",
        "failed",
        "hook",
        "over",
        "plugin",
        "quiet_until",
        "refused",
        "seconds",
        "statements",
    )

    def __init__(self, hook: str, plugin: str) -> None:
        self.hook, self.plugin = hook, plugin
        self.calls = self.statements = self.refused = self.failed = self.over = 0
        self.seconds = self.quiet_until = 0.0

    def exceeded(self, seconds: float, statements: int) -> None:
        """Count a load beyond its budget, and say so once a minute."""
        self.over += 1
        now = time.monotonic()
        if now < self.quiet_until:
            return
        self.quiet_until = now + _QUIET
        _log.warning(
            "load over budget",
            hook=self.hook,
            plugin=self.plugin,
            statements=statements,
            milliseconds=round(seconds * 1000, 1),
            budget=f"{LOAD_STATEMENTS} statement, {LOAD_SECONDS * 1000:.0f} ms",
        )


_meters: dict[tuple[str, str], Meter] = {}


def meters() -> Iterator[Meter]:
    """All meters of this process."""
    return iter(list(_meters.values()))


def meter(hook: str, plugin: str) -> Meter:
    """The meter of one hook of one plugin; generations come and go, it stays."""
    return _meters.setdefault((hook, plugin), Meter(hook, plugin))


def metered(hook: str, plugin: str, function: Hook, *, load: bool) -> Hook:
    """`function`, measured; its first argument is the transaction. `load`: with a budget."""
    counted, clock = meter(hook, plugin), time.perf_counter
    run = tracing.traced(f"hook {hook}", {"jishi.hook": hook, "jishi.plugin": plugin}, function)

    @functools.wraps(function)
    async def call(tx: Any, *args: Any) -> Any:
        statements, began = _statements(tx), clock()
        try:
            return await run(tx, *args)
        except JishiError:
            counted.refused += 1
            raise
        except BaseException:
            counted.failed += 1
            raise
        finally:
            seconds = clock() - began
            used = _statements(tx) - statements
            counted.calls += 1
            counted.seconds += seconds
            counted.statements += used
            if load and (used > LOAD_STATEMENTS or seconds > LOAD_SECONDS):
                counted.exceeded(seconds, used)

    return call


def _statements(tx: Any) -> int:
    """What was sent by now, without what only began a transaction or changed its scope."""
    sent: int = getattr(tx, "statements", 0) - getattr(tx, "frames", 0)
    return sent
