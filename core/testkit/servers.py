"""The servers of a test run: those that JISHI_TEST_URLS names, or embedded ones, started once by whoever asks first.

All processes of a run (those of pytest-xdist too) share a folder. The first that asks starts a keeper, `python -m
core.testkit.servers <folder>`, which holds the engines. Every process that uses them holds a shared lock on a file in it
for as long as it lives; once the keeper can have that lock alone, nobody is left, however they ended, and it cleans up.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from core.testkit.place import RUN, new_folder

URLS = "JISHI_TEST_URLS"

# Nothing here outlives the run, so nothing has to be safe on disk.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "autovacuum": "off",
}
_PATIENCE = 120.0
_ENDING = 20.0
_held: dict[str, int] = {}


class Servers(msgspec.Struct, frozen=True):
    """SQLAlchemy URLs of the owner and of the app's role, and Redis. `lasting`: they were there before this run."""

    owner_url: str
    app_url: str
    redis_url: str
    lasting: bool


def servers() -> Servers:
    """Where they answer; starts them if need be. Raises `RuntimeError` with what the keeper said if they do not start."""
    given = os.environ.get(URLS)
    owner, app, redis = json.loads(given or _embedded(Path(os.environ.setdefault(RUN, new_folder()))))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    # A Redis database for each test process.
    redis += f"{'&' if '?' in redis else '?'}db={worker % 15 + 1}"
    return Servers(owner, app, redis, given is not None)


def stop(run: Path) -> None:
    """End the servers of a run, if there are any, and wait until its folder is gone."""
    with contextlib.suppress(OSError):
        (run / "end").touch()
    until = time.monotonic() + _ENDING
    while run.exists() and time.monotonic() < until:
        time.sleep(0.01)
    shutil.rmtree(run, ignore_errors=True)


def _embedded(run: Path) -> str:
    # Not there on Windows, where servers can only be given.
    import fcntl

    run.mkdir(mode=0o711, exist_ok=True)
    if str(run) not in _held:
        _held[str(run)] = os.open(run / "users", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(_held[str(run)], fcntl.LOCK_SH)
    urls = run / "urls"
    with (run / "first").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        if not urls.exists():
            _start_keeper(run, urls)
    return urls.read_text()


def _start_keeper(run: Path, urls: Path) -> None:
    with (run / "log").open("w+b") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "core.testkit.servers", str(run)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C is for the tests; the keeper sees them go.
            start_new_session=True,
        )
        until = time.monotonic() + _PATIENCE
        while not urls.exists():
            if keeper.poll() is not None or time.monotonic() > until:
                keeper.kill()
                # A keeper that gives up takes the folder along, but not what is open.
                log.seek(0)
                said = log.read().decode(errors="replace")
                raise RuntimeError(f"The servers for the tests did not start:\n{said}")
            time.sleep(0.01)
    # Not ours to wait for; it ends after us.
    keeper.returncode = 0


@contextlib.contextmanager
def _private(run: Path) -> Iterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(run, ignore_errors=True)


def keep(run: Path) -> None:
    """Hold the engines until nobody uses them any more, or until told to end."""
    from core.embedded import Engines

    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _: asked.append(n))
    with _private(run), Engines(run / "data", settings=SETTINGS) as engines:
        found = engines.start()
        draft = run / "urls.new"
        draft.write_text(json.dumps([found.owner_database_url, found.app_database_url, found.redis_url]))
        draft.replace(run / "urls")
        users = os.open(run / "users", os.O_RDWR)
        while not asked and not (run / "end").exists() and not _alone(users):
            time.sleep(0.05)


def _alone(users: int) -> bool:
    import fcntl

    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
