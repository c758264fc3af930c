"""The deployment under stress: `jishi run` with short times, plugins of its own, and processes to kill."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.stress.database import running
from tests.support.deployment import ROOT, Deployment, _children

PLUGIN = Path(__file__).parent / "plugin"
_INFO = "jishi_stress-0.1.0.dist-info"
_POINTS = "[jishi.plugins]\nstress = stress_plugin:StressPlugin\n"
# Seconds. Long enough for a story to act before silence decides, short enough to wait for silence.
TIMES = {
    "unpaid_ttl": 25,
    "auto_receive": 10,
    "auto_service": 20,
    "aftersales_window": 14,
    "aftersales_answer": 6,
    "aftersales_return": 8,
    "aftersales_inspect": 6,
    "waybill_changes": 30,
    "payout_every": 5,
}
_MARKS = {
    "web": "host.py web",
    "worker": "host.py worker",
    "sandbox": "core.command.sandbox",
    "valkey": "valkey-server",
}


class Place(Deployment):
    """A market of its own on a fresh folder."""

    def __init__(self, *, web_processes: int = 2, pace: float = 1) -> None:
        self.pace = pace
        self.times = {name: max(1, round(value / pace)) for name, value in TIMES.items()}
        folder = Path(tempfile.mkdtemp(prefix="jishi-stress-"))
        path = [str(_install(folder)), str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])]
        super().__init__(
            folder,
            PYTHONPATH=os.pathsep.join(path),
            JISHI_DEMO="0",
            JISHI_LOG="json",
            JISHI_PLUGINS="commission,coupons,express_delivery,stress",
            JISHI_WEB_PROCESSES=str(web_processes),
            JISHI_RATE_LIMITS="0",
            JISHI_ACCESS_TOKEN_TTL="86400",
            JISHI_UNPAID_TRADES_PER_ACCOUNT="100000",
            **{f"JISHI_{name.upper()}": str(value) for name, value in self.times.items()},
        )

    def add_operator(self, login: str, password: str) -> None:
        """The first person of the market."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "host.py"), "operator", login],
            env=self._environ, cwd=self.folder, input=password + "\n", capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def processes(self, part: str) -> list[int]:
        """Process ids of the web processes, the worker, the sandbox, PostgreSQL (its first process) or Valkey, that live."""
        assert self.process is not None
        found = []
        for pid, words in _children(self.process.pid):
            line = " ".join(words)
            named = next((name for name, mark in _MARKS.items() if mark in line), None)
            if (named or ("postgres" if "postgres" in line else None)) == part:
                found.append(pid)
        return sorted(found)

    def kill_one(self, part: str, which: int) -> int | None:
        """kill -9 of one process of a part; its id, None when none lives."""
        pids = self.processes(part)
        if not pids:
            return None
        pid = pids[which % len(pids)]
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return None
        return pid

    def flush_redis(self) -> bool:
        """Valkey forgets everything; whether it was there to do so."""
        try:
            with Redis.from_url(running(self.folder / "data").redis_url, socket_timeout=2) as redis:
                redis.flushall()
        except (RedisError, OSError):
            return False
        return True


def _install(folder: Path) -> Path:
    """Beside the installed plugins, the one of this test is found by its entry point; the answer goes onto the path."""
    site = folder / "site"
    (site / _INFO).mkdir(parents=True)
    (site / _INFO / "METADATA").write_text("Name: jishi-stress\nVersion: 0.1.0\n")
    (site / _INFO / "entry_points.txt").write_text(_POINTS)
    return site
