"""Child processes of `jishi run`: started, watched, started again when they die, replaced one by one, ended together."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from uuid import UUID

import structlog

from core.deployment.following import PROCESS
from core.deployment.ready import READY_FD
from core.kit.ids import new_id

_log = structlog.get_logger("jishi.run")
_PR_SET_PDEATHSIG = 1
_PARENT = "JISHI_PARENT"
_STEADY = 30.0
_START_WITHIN = 60.0
# More than requests and effects under way get to end.
STOP_WITHIN = 25.0


def die_with_parent() -> None:
    """In a child: get SIGTERM when the parent goes, even by kill -9 (Linux)."""
    expected = os.environ.get(_PARENT)
    if expected is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(expected):
        raise SystemExit(0)


class _Process(subprocess.Popen[bytes]):
    """With the id under which it lists itself among the deployment's live processes."""

    listed: UUID


class Child:
    """One process that should be running. `ready`: it announces when it serves (`core.deployment.ready`); `stop`: the
    signal for when all of them end; `died` is told the id of each that has ended meanwhile (`core.deployment.following`)."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        fds: Sequence[int] = (),
        *,
        ready: bool = False,
        stop: signal.Signals = signal.SIGTERM,
        died: Callable[[UUID], None] = lambda _: None,
    ) -> None:
        self.name, self._command, self._fds, self._ready = name, list(command), tuple(fds), ready
        self._stop, self._died = stop, died
        self._environ = {**environ, _PARENT: str(os.getpid())}
        self.process: _Process | None = None
        self._others: list[_Process] = []
        self._began = 0.0
        self._failures = 0
        self._not_before = 0.0

    def start(self) -> None:
        """Start it; it has a session of its own, so Ctrl-C reaches only the parent."""
        self._began = time.monotonic()
        self.process = self._spawn()

    def _spawn(self, ready: int | None = None) -> _Process:
        listed = new_id()
        told = {PROCESS: str(listed)} | ({} if ready is None else {READY_FD: str(ready)})
        process = _Process(
            self._command,
            env={**self._environ, **told},
            pass_fds=(*self._fds, *(() if ready is None else (ready,))),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        process.listed = listed
        return process

    def keep(self) -> None:
        """Start it again if it died, a little later each time it dies early."""
        now = time.monotonic()
        if self.process is not None:
            code = self.process.poll()
            if code is None:
                return
            self._failures = 0 if now - self._began > _STEADY else self._failures + 1
            pause = min(0.2 * 2**self._failures, 10.0)
            _log.warning("process ended, starting it again", process=self.name, code=code, pause=pause)
            self._died(self.process.listed)
            self.process, self._not_before = None, now + pause
        if now >= self._not_before:
            self.start()

    def roll(self) -> Iterator[None]:
        """Replace the process by a new one, a step at each `next`; it is over when the iterator ends.

        One that announces itself starts beside the old one, which goes once the new one serves; if the new one does not
        come up, the old one stays. Any other is stopped first.
        """
        if self._ready:
            successor = yield from self._successor()
            if successor is None:
                return
            old, self.process, self._began = self.process, successor, time.monotonic()
            self._others.remove(successor)
        else:
            # Not watched while it is away: that it ends is meant.
            old, self.process, self._not_before = self.process, None, float("inf")
        if old is not None:
            self._others.append(old)
            yield from _ended(old, self.name)
            self._died(old.listed)
            self._others.remove(old)
        if self.process is None:
            self.start()

    def _successor(self) -> Generator[None, None, _Process | None]:
        reading, writing = os.pipe()
        process = self._spawn(writing)
        os.close(writing)
        self._others.append(process)
        os.set_blocking(reading, False)
        until = time.monotonic() + _START_WITHIN
        try:
            while process.poll() is None and time.monotonic() < until:
                with contextlib.suppress(BlockingIOError):
                    if os.read(reading, 1):
                        return process
                yield
        finally:
            os.close(reading)
        process.kill()
        process.wait()
        self._died(process.listed)
        self._others.remove(process)
        _log.error(
            "new process did not come up; the old one goes on", process=self.name, code=process.returncode
        )
        return None

    def ask_to_stop(self) -> None:
        """It finishes what it does."""
        for process in self._all():
            if process.poll() is None:
                process.send_signal(self._stop)

    def wait(self, until: float) -> None:
        """Wait until the monotonic time `until`, then kill."""
        for process in self._all():
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.warning("process did not stop in time and was killed", process=self.name)
                process.kill()
                process.wait()

    def _all(self) -> list[_Process]:
        return [*self._others, *(() if self.process is None else (self.process,))]


def _ended(process: _Process, name: str) -> Iterator[None]:
    """Ask it to leave (SIGTERM) and wait until it has, a step at a time; what takes too long is killed."""
    process.terminate()
    until = time.monotonic() + STOP_WITHIN
    while process.poll() is None:
        if time.monotonic() > until:
            _log.warning("process did not stop in time and was killed", process=name)
            process.kill()
            process.wait()
            return
        yield
