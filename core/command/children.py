"""Child processes of `jishi run`: started, watched, started again when they die, ended together."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import structlog

_log = structlog.get_logger("jishi.run")
_PR_SET_PDEATHSIG = 1
_PARENT = "JISHI_PARENT"
_STEADY = 30.0


def die_with_parent() -> None:
    """In a child: get SIGTERM when the parent goes, even by kill -9 (Linux)."""
    expected = os.environ.get(_PARENT)
    if expected is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(expected):
        raise SystemExit(0)


class Child:
    """One process that should be running."""

    def __init__(
        self, name: str, command: Sequence[str], environ: Mapping[str, str], fds: Sequence[int] = ()
    ) -> None:
        self.name, self._command, self._fds = name, list(command), tuple(fds)
        self._environ = {**environ, _PARENT: str(os.getpid())}
        self.process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._failures = 0
        self._not_before = 0.0

    def start(self) -> None:
        """Start it; it has a session of its own, so Ctrl-C reaches only the parent."""
        self._began = time.monotonic()
        self.process = subprocess.Popen(
            self._command,
            env=self._environ,
            pass_fds=self._fds,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )

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
            self.process, self._not_before = None, now + pause
        if now >= self._not_before:
            self.start()

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, until: float) -> None:
        """Wait until the monotonic time `until`, then kill."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            _log.warning("process did not stop in time and was killed", process=self.name)
            self.process.kill()
            self.process.wait()
