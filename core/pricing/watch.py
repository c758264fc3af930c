"""Stops a rule that does not come to an end, so that one plugin cannot hold a whole process.

A thread looks now and then at what runs; whoever runs for longer than `LIMIT` gets an exception. Only Python code can be
stopped: a call into C that never returns cannot.
"""

import ctypes
import threading
import time
from collections.abc import Callable
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")

# Seconds. A rule takes microseconds; this only has to be far from any pause of the machine.
LIMIT = 2.0

_lock = threading.Lock()
_running: dict[int, float] = {}
_stopped: set[int] = set()
_watcher: threading.Thread | None = None


class EndlessError(BaseException):
    """Raised inside a rule that took too long; no `except Exception` of its own keeps it."""


def run(function: Callable[[A], R], argument: A) -> R:
    """`function(argument)`. Raises `EndlessError` when it takes longer than `LIMIT`, and whatever it raises."""
    if _watcher is None:
        _start()
    me = threading.get_ident()
    fault: Exception | None = None
    try:
        _running[me] = time.monotonic()
        try:
            answer = function(argument)
        except Exception as error:  # noqa: BLE001 -- raised again below
            fault = error
        _leave(me)
    except EndlessError:
        _clear(me)
        raise
    if fault is not None:
        raise fault
    return answer


def _leave(me: int) -> None:
    """End the watch. An exception that is on its way to this thread must arrive here and nowhere else."""
    with _lock:
        del _running[me]
        stopped = me in _stopped
    if stopped:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            pass
        raise EndlessError


def _clear(me: int) -> None:
    with _lock:
        _running.pop(me, None)
        _stopped.discard(me)


def _start() -> None:
    global _watcher
    with _lock:
        if _watcher is None:
            _watcher = threading.Thread(target=_watch, name="jishi rules", daemon=True)
            _watcher.start()


def _watch() -> None:
    while True:
        time.sleep(min(LIMIT / 4, 0.5))
        with _lock:
            late = time.monotonic() - LIMIT
            for thread, began in list(_running.items()):
                if began < late and thread not in _stopped:
                    _stopped.add(thread)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(thread), ctypes.py_object(EndlessError)
                    )
