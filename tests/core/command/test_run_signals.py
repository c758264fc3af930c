"""What signals mean to `jishi run`."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from core.command.run import _Stop


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class _Input:
    def __init__(self, *, terminal: bool) -> None:
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def test_sighup_asks_once_for_new_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", _Input(terminal=False))
    stop = _Stop()
    os.kill(os.getpid(), signal.SIGHUP)
    assert (stop.take_roll(), stop.take_roll(), stop.asked) == (True, False, False)


def test_a_closed_terminal_stops_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", _Input(terminal=True))
    stop = _Stop()
    os.kill(os.getpid(), signal.SIGHUP)
    assert (stop.take_roll(), stop.asked) == (False, True)


def test_sigterm_stops_everything() -> None:
    stop = _Stop()
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.asked
