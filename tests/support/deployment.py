"""A whole deployment as a user starts it: `host.py run` in a folder of its own."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
# What shows in the command line of each part.
_MARKS = (
    ("web", "host.py web"),
    ("worker", "host.py worker"),
    ("sandbox", "core.command.sandbox"),
    ("valkey", "valkey-server"),
    ("postgres", "postgres"),
)


class Deployment:
    """`jishi run` on a fresh folder, or again on the same one."""

    def __init__(self, folder: Path | None = None, **environ: str) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="jishi-run-"))
        self.folder.chmod(0o755)
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environ = {
            **os.environ,
            "JISHI_DATA": str(self.folder / "data"),
            "JISHI_PORT": str(self.port),
            **environ,
        }
        for name in ("JISHI_RESOLVED", "JISHI_DATABASE_URL", "JISHI_REDIS_URL"):
            self._environ.pop(name, None) if name not in environ else None
        self.process: subprocess.Popen[bytes] | None = None
        self.log = self.folder / "run.log"

    def start(self, *, seconds: float = 90) -> "Deployment":
        """Start and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "host.py"), "run"],
                env=self._environ,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        until = time.monotonic() + seconds
        while True:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def command(self, *words: str) -> str:
        """A command beside it, e.g. `plugin list`."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "host.py"), *words],
            env=self._environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ctrl-C; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(40)

    def parts(self) -> dict[str, list[int]]:
        """Process ids by part, all that live: run, web, worker, sandbox, postgres, valkey."""
        assert self.process is not None
        found: dict[str, list[int]] = {"run": [self.process.pid]} | {part: [] for part, _ in _MARKS}
        for pid, words in _children(self.process.pid):
            line = " ".join(words)
            part = next((part for part, mark in _MARKS if mark in line), None)
            if part is not None:
                found[part].append(pid)
        return found

    def pids(self) -> dict[str, int]:
        """One process id of each part that lives."""
        return {part: pids[0] for part, pids in self.parts().items() if pids}

    def kill_everything(self) -> None:
        """kill -9 of all, the supervisor first."""
        pids = self.pids()
        for pid in (pids.pop("run"), *pids.values()):
            _kill(pid)
        assert self.process is not None
        self.process.wait(10)

    def kill(self, part: str) -> bool:
        """kill -9 of one part; whether it was there."""
        pid = self.pids().get(part)
        return pid is not None and _kill(pid)


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _children(parent: int) -> list[tuple[int, list[str]]]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(stat[1]) == parent:
                    words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                    found.append((int(folder.name), words))
            except OSError:
                continue
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
