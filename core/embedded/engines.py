"""Both engines under one owner."""

import os
import pathlib
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import msgspec

from core.embedded.layout import load_passwords, make_layout, take_lock
from core.embedded.postgres import Postgres
from core.embedded.process import Daemon, EmbeddedError, Launcher, folder_error
from core.embedded.valkey import Valkey


class Urls(msgspec.Struct, frozen=True):
    """Where the engines answer; empty for an engine that was not asked for.

    The first two are SQLAlchemy URLs: jishi_owner owns the database, jishi_app owns nothing and is bound by
    row-level security. ``redis_url`` is of the form ``unix:///path``.
    """

    owner_database_url: str
    app_database_url: str
    redis_url: str


class Engines:
    """PostgreSQL and Valkey on the folder ``data``, each unless switched off; ``settings`` are PostgreSQL's, over ours.

    One owner calls ``start``, ``poll`` and ``stop``, from any thread but one at a time.
    """

    def __init__(
        self,
        data: pathlib.Path,
        *,
        postgres: bool = True,
        valkey: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._data = data.absolute()
        self._settings = dict(settings or {})
        self._wanted = (postgres, valkey)
        self._lock: int | None = None
        self._launcher: Launcher | None = None
        self._daemons: list[Daemon] = []

    def start(self) -> Urls:
        """Bring the engines up and wait until they take work, two minutes at most. Raises EmbeddedError."""
        if sys.platform == "win32":
            raise EmbeddedError(
                "The embedded servers do not run on Windows: use WSL or set JISHI_DATABASE_URL and "
                "JISHI_REDIS_URL."
            )
        if self._lock is not None:
            raise EmbeddedError("These engines were started already: stop them first.")
        try:
            urls = self._prepare()
            self._wait_ready()
        except OSError as error:
            self.stop()
            raise folder_error(error, self._data) from error
        except BaseException:
            self.stop()
            raise
        return urls

    def _prepare(self) -> Urls:
        with_postgres, with_valkey = self._wanted
        if not self._data.is_dir():
            self._data.mkdir(parents=True)
            # Under root the engines' user enters it; what is private below has its own mode.
            self._data.chmod(0o711 if os.geteuid() == 0 else 0o700)
        data = self._data.resolve()
        self._lock = take_lock(data)
        layout = make_layout(data)
        self._launcher = launcher = Launcher(layout.account)
        owner_url = app_url = redis_url = ""
        if with_postgres:
            passwords, new = load_passwords(data)
            self._daemons.append(Postgres(layout, launcher, passwords, renew=new, settings=self._settings))
            owner_url = f"postgresql+asyncpg://jishi_owner:{passwords.owner}@/jishi?host={layout.run}"
            app_url = f"postgresql+asyncpg://jishi_app:{passwords.app}@/jishi?host={layout.run}"
        if with_valkey:
            valkey = Valkey(layout, launcher)
            self._daemons.append(valkey)
            redis_url = f"unix://{valkey.socket}"
        for daemon in self._daemons:
            daemon.prepare()
        return Urls(owner_url, app_url, redis_url)

    def _wait_ready(self) -> None:
        while not all(daemon.ready for daemon in self._daemons):
            for daemon in self._daemons:
                daemon.tick()
                daemon.check_start()
            time.sleep(0.01)

    def poll(self) -> None:
        """Start an engine again that died; returns at once. Call about twice a second.

        Raises EmbeddedError when an engine has not come back for two minutes (a later call tries on).
        """
        for daemon in self._daemons:
            daemon.tick()

    def stop(self) -> None:
        """Shut both down cleanly and give the folder free. Harmless when they do not run."""
        for daemon in self._daemons:
            daemon.ask_to_end()
        for daemon in self._daemons:
            daemon.wait_end()
        self._daemons = []
        if self._launcher is not None:
            self._launcher.close()
            self._launcher = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
