"""Start child processes that cannot outlive us, wait until they answer, restart and stop them."""

import abc
import errno
import logging
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from core.embedded.account import Account

START_SECONDS = 120.0
STOP_SECONDS = 60.0
LOG_LIMIT_BYTES = 16 * 1024 * 1024
LAUNCH = str(pathlib.Path(__file__).with_name("launch.py"))
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

logger = logging.getLogger("jishi.embedded")


class EmbeddedError(Exception):
    """An embedded engine cannot run; ``str()`` is one sentence that says what to do."""


def folder_error(error: OSError, path: pathlib.Path) -> EmbeddedError:
    """What to do about ``error``, met while using ``path``."""
    what = {
        errno.ENOSPC: f"The disk that holds {path} is full: free some space and start again.",
        errno.EDQUOT: f"The disk quota for {path} is used up: free some space and start again.",
        errno.EROFS: f"{path} is on a read-only file system: set JISHI_DATA to a folder that can be written.",
        errno.EACCES: f"This user may not write {path}: give it access or set JISHI_DATA to another folder.",
        errno.EPERM: f"This user may not change {path}: give it access or set JISHI_DATA to another folder.",
        errno.ENOTDIR: f"{path} is or lies below a file: set JISHI_DATA to a folder.",
        errno.EEXIST: f"{path} is a file: set JISHI_DATA to a folder.",
    }
    other = f"{path} cannot be used ({error.strerror}): repair it or set JISHI_DATA to another folder."
    return EmbeddedError(what.get(error.errno or 0, other))


def output_error(name: str, output: str, data: pathlib.Path, log: pathlib.Path) -> EmbeddedError:
    """What to do about an engine whose last words were ``output``."""
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        if os.strerror(number) in output or (number == errno.ENOSPC and "Check free disk space" in output):
            return EmbeddedError(f"{folder_error(OSError(number, ''), data)} The log is {log}.")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [line for line in lines if re.search(r"FATAL|PANIC|[Ee]rror|ERROR|denied|Can't|Bad ", line)]
    words = (told[:1] or lines[-1:] or ["it said nothing"])[0]
    return EmbeddedError(f"{name} cannot run in {data} ({words}): repair this and start again, see {log}.")


def exchange(path: pathlib.Path, message: bytes) -> bytes:
    """First bytes that the server on the unix socket ``path`` answers to ``message``; empty if none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(0.5)
        try:
            connection.connect(str(path))
            connection.sendall(message)
            return connection.recv(512)
        except OSError:
            return b""


class Launcher:
    """Starts processes as ``account``, all from one thread that lives as long as they should.

    The kernel counts the end of the *thread* that started a process as the death of its parent.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedded-launcher")

    def _wrapped(self, command: Sequence[str], end_signal: int) -> list[str]:
        account = self._account
        ids = (account.uid, account.gid) if account.dropped else (-1, -1)
        numbers = [str(number) for number in (os.getpid(), *ids, int(end_signal))]
        return [sys.executable, "-I", "-S", LAUNCH, *numbers, *command]

    def spawn(
        self,
        command: Sequence[str],
        *,
        end_signal: signal.Signals,
        log: pathlib.Path,
        cwd: pathlib.Path,
        keep: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Start ``command`` in the background; ``keep`` are file descriptors that it inherits."""

        def start() -> subprocess.Popen[bytes]:
            with log.open("ab") as output:
                return subprocess.Popen(
                    self._wrapped(command, end_signal),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=cwd,
                    env=ENVIRONMENT,
                    pass_fds=keep,
                    start_new_session=True,  # Ctrl-C is for us; we end the engines after the application
                )

        return self._thread.submit(start).result()

    def run(
        self, command: Sequence[str], *, text: str = "", keep: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run ``command`` to its end with ``text`` as input; stdout holds all of its output."""

        def start() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                self._wrapped(command, signal.SIGTERM),
                input=text,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                cwd="/",
                env=ENVIRONMENT,
                pass_fds=keep,
                start_new_session=True,
                check=False,
            )

        return self._thread.submit(start).result()

    def close(self) -> None:
        self._thread.shutdown()


class Daemon(abc.ABC):
    """One engine: ``tick()`` moves it towards running, as often as its owner likes."""

    name: str
    end_signal: signal.Signals

    def __init__(self, data: pathlib.Path, log: pathlib.Path) -> None:
        self.ready = False
        self.failures = 0
        self._data = data
        self._log = log
        self._log_start = 0
        self._last_words = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._down_since: float | None = None
        self._retry_at = 0.0
        self._spawn_error: OSError | None = None

    @abc.abstractmethod
    def prepare(self) -> None:
        """Make what the engine needs before its first start. Raises EmbeddedError."""

    @abc.abstractmethod
    def spawn(self) -> subprocess.Popen[bytes] | None:
        """Start the process, or None while something of an earlier run still holds on."""

    @abc.abstractmethod
    def answers(self) -> bool:
        """Whether the engine takes work now."""

    def transient(self, output: str) -> bool:
        """Whether an exit with this output is cured by trying again."""
        del output
        return False

    def tick(self) -> None:
        """Look after the process once, without waiting. Raises EmbeddedError after two minutes of trying."""
        self._down_since = self._down_since or time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            self._note_exit(self._process.returncode)
        if self._process is None:
            self._try_spawn()
        elif not self.ready and self.answers():
            self.ready, self.failures = True, 0
        if not self.ready and time.monotonic() - self._down_since > START_SECONDS:
            raise self._error()

    def _note_exit(self, code: int) -> None:
        if self.ready:
            self._down_since = time.monotonic()
            logger.warning("%s ended with code %d, starting it again", self.name, code)
        self._process, self.ready = None, False
        self._note_failure()

    def _note_failure(self) -> None:
        self._last_words = self._output()
        self.failures += 1
        self._retry_at = time.monotonic() + min(5.0, 0.05 * 2 ** min(self.failures, 10))

    def _try_spawn(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        try:
            self._rotate_log()
            self._process, self._spawn_error = self.spawn(), None
        except OSError as error:
            self._spawn_error = error
            self._note_failure()

    def _rotate_log(self) -> None:
        size = self._log.stat().st_size if self._log.exists() else 0
        if size > LOG_LIMIT_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
            size = 0
        self._log_start = size

    def _output(self) -> str:
        """The end of what the latest process wrote (at most 8 KiB)."""
        try:
            with self._log.open("rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, end - 8192))
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def check_start(self) -> None:
        """Raise EmbeddedError if the first start failed for a reason that will not go away."""
        if self._spawn_error or (self.failures and not self.transient(self._last_words)):
            raise self._error()

    def _error(self) -> EmbeddedError:
        if self._spawn_error is not None:
            return folder_error(self._spawn_error, self._data)
        return output_error(self.name, self._last_words or self._output(), self._data, self._log)

    def ask_to_end(self) -> None:
        if self._process is not None:
            self._process.send_signal(self.end_signal)

    def wait_end(self) -> None:
        """Wait for the end, by harder means after a minute."""
        if self._process is None:
            return
        for next_signal in (signal.SIGQUIT, signal.SIGKILL):
            try:
                self._process.wait(STOP_SECONDS)
                break
            except subprocess.TimeoutExpired:
                self._process.send_signal(next_signal)
        self._process.wait()
        self._process, self.ready = None, False
