"""Starting, and every way it can go wrong: each one clear sentence."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.support.database import Database
from tests.support.deployment import ROOT, Deployment
from tests.support.walk import Walker, wait_for


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="jishi-start-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _fails(folder: Path, **environ: str) -> str:
    """What `run` says before it gives up."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("JISHI_")} | {
        "JISHI_DATA": str(folder / "data"),
        **environ,
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "host.py"), "run"],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    assert said.count("cannot start") == 1
    return said


def test_a_second_start_and_a_taken_port_are_refused_and_ctrl_c_stops_all(folder: Path) -> None:
    deployment = Deployment(folder).start()
    pids = wait_for(deployment.pids, lambda found: "sandbox" in found)
    said = _fails(folder, JISHI_PORT="0")
    assert "already running on this folder" in said
    assert str(pids["run"]) in said
    assert f"Port {deployment.port} on 127.0.0.1 is taken" in _fails(
        folder, JISHI_DATA=str(folder / "other"), JISHI_PORT=str(deployment.port)
    )
    assert set(pids) == {"run", "web", "worker", "sandbox", "postgres", "valkey"}
    assert deployment.stop() == 0
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("postgresql+asyncpg://nobody:x@127.0.0.1:1/jishi", "does not answer"),
        ("nonsense", "JISHI_DATABASE_URL"),
        ("mysql://root@127.0.0.1/x", "JISHI_DATABASE_URL"),
    ],
)
def test_a_wrong_database_url_is_one_sentence(folder: Path, url: str, word: str) -> None:
    assert word in _fails(
        folder, JISHI_DATABASE_URL=url, JISHI_REDIS_URL="redis://127.0.0.1:1/0", JISHI_PORT=_free()
    )


def test_a_wrong_password_is_one_sentence(folder: Path, database: Database) -> None:
    url = database.owner_url.replace("://jishi_owner:", "://jishi_owner:wrong")
    assert "refused" in _fails(
        folder, JISHI_DATABASE_URL=url, JISHI_REDIS_URL=database.redis_url, JISHI_PORT=_free()
    )


def test_wrong_settings_are_named(folder: Path) -> None:
    assert "web_processes" in _fails(folder, JISHI_WEB_PROCESSES="many")
    (folder / "jishi.toml").write_text("colour = 'red'")
    assert "colour" in _fails(folder)
    (folder / "jishi.toml").write_text("= broken")
    assert "jishi.toml" in _fails(folder)


def test_a_folder_that_cannot_be_written_is_one_sentence(folder: Path) -> None:
    (folder / "data").write_text("a file stands in the way")
    assert str(folder / "data") in _fails(folder, JISHI_PORT=_free())


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize(("options", "word"), [("ro", "read-only"), ("size=12m", "full")])
def test_a_read_only_or_full_disk_is_one_sentence(folder: Path, options: str, word: str) -> None:
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        assert word in _fails(folder, JISHI_DATA=str(disk / "data"), JISHI_PORT=_free()).lower()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_production_runs_on_servers_of_ones_own(folder: Path, database: Database) -> None:
    admin = await asyncpg.connect(database.owner_dsn)
    await admin.execute("drop schema public cascade; create schema public")
    await admin.close()
    deployment = Deployment(
        folder,
        JISHI_DATABASE_URL=database.owner_url,
        JISHI_APP_DATABASE_URL=database.app_url,
        JISHI_REDIS_URL=database.redis_url,
    ).start()
    try:
        assert set(deployment.pids()) == {"run", "web", "worker"}
        done = subprocess.run(
            [sys.executable, str(ROOT / "host.py"), "operator", "boss"],
            env=deployment._environ,
            cwd=folder,
            input="a-good-password\n",
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        boss = Walker(deployment.url, "boss", "platform", password="a-good-password")
        assert {p["name"] for p in boss.get("/api/platform/plugins")["items"]} >= {
            "commission",
            "coupons",
            "express_delivery",
        }
        assert "coupons" in deployment.command("plugin", "list")
        deployment.command("plugin", "disable", "coupons")
        assert "off" in next(
            line for line in deployment.command("plugin", "list").splitlines() if line.startswith("coupons")
        )
        assert boss.call("POST", "/api/payments/sandbox/x/pay").status_code == 404
    finally:
        assert deployment.stop() == 0


def _free() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
