"""The doctor: on a sound market all is well; each thing broken for real is named, with how to mend it."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
import msgspec
import pytest

import host
from core.command import doctor
from core.deployment.runtime import Runtime
from core.doctor import books, machine, servers
from core.doctor.examine import examine
from core.doctor.report import Finding, Report
from core.kit.crypto import Vault
from core.kit.ids import new_id
from core.kit.settings import Env, Settings
from core.types.scope import SYSTEM, Audience
from tests.support.database import Database
from tests.support.deployment import ROOT
from tests.support.market import Session, a_buyer, an_operator, sign_in


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    secret = tmp_path / "secret"
    secret.write_text("0f" * 64)
    secret.chmod(0o600)
    return Settings(
        data=str(tmp_path),
        database_url=database.owner_url,
        app_database_url=database.app_url,
        redis_url=database.redis_url,
        sandbox=True,
        rate_limits=False,
        public_url="http://test",
    )


@pytest.fixture
def env(settings: Settings) -> Env:
    return Env(settings, Vault(bytes.fromhex("0f" * 64)))


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute("set jishi.scope = 'system'")
    yield connection
    await connection.close()


def _bad(found: Report, check: str) -> list[Finding]:
    return [f for f in found.findings if f.check == check and f.status != "ok"]


async def _one(runtime: Runtime, check: str, status: str, *words: str) -> Finding:
    """The one finding that is not well; its sentence holds the words, and it says how to mend it."""
    bad = _bad(await examine(runtime), check)
    assert [f.status for f in bad] == [status], bad
    assert all(w in bad[0].detail + bad[0].mend for w in words), bad
    assert bad[0].mend
    return bad[0]


async def _process(runtime: Runtime, kind: str, *, generation: int | None = None, age: int = 0) -> None:
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(
            "insert into process (id, kind, host, pid, started_at, seen_at, generation)"
            " values ($1, $2, 'h', 1, $3, $3, $4)",
            new_id(), kind, tx.now - timedelta(seconds=age), generation or runtime.snapshot.generation,
        )  # fmt: skip


async def test_a_sound_market_is_well(runtime: Runtime) -> None:
    for kind in ("web", "web", "worker"):
        await _process(runtime, kind)
    found = await examine(runtime)
    bad = [f for f in found.findings if f.status != "ok" and f.check != "disk"]
    assert bad == []
    assert {f.check for f in found.findings} >= {
        "settings", "secret", "disk", "redis", "database", "migrations", "clock", "row security", "roles",
        "append-only", "stored values", "plugins", "generations", "deliveries", "sizes", "ledger", "stock",
    }  # fmt: skip
    assert "PostgreSQL 1" in next(f.detail for f in found.findings if f.check == "database")


async def test_row_security_that_is_off_is_named(runtime: Runtime, admin: asyncpg.Connection) -> None:
    await admin.execute("alter table cart_line no force row level security")
    await _one(runtime, "row security", "failing", "cart_line is not forced", "force row level security")
    await admin.execute("alter table cart_line disable row level security")
    await _one(runtime, "row security", "failing", "cart_line is not on")


@pytest.mark.parametrize(
    "change",
    [
        "drop policy own on address",
        "create policy leak on address for select using (true)",
        "alter policy own on address using (true)",
        "alter policy own on address with check (true)",
        "alter policy own on address to jishi_app",
    ],
)
async def test_policies_that_are_not_as_declared_are_named(
    runtime: Runtime, admin: asyncpg.Connection, change: str
) -> None:
    await admin.execute(change)
    name = "leak" if "leak" in change else "own"
    await _one(runtime, "row security", "failing", f"Policies of address are not as declared: {name}.")


async def test_tables_without_protection_that_nobody_declares_are_a_warning(
    runtime: Runtime, admin: asyncpg.Connection
) -> None:
    await admin.execute("create table stray (x int)")
    await _one(runtime, "row security", "warning", "stray")


async def test_rights_beyond_adding_to_a_journal_are_named(
    runtime: Runtime, admin: asyncpg.Connection
) -> None:
    await admin.execute("grant update on ledger_transfer to jishi_app")
    await _one(runtime, "append-only", "failing", "ledger_transfer", "revoke update")
    await admin.execute("revoke update on ledger_transfer from jishi_app")
    await admin.execute("revoke insert on cart_line from jishi_app")
    await _one(runtime, "append-only", "failing", "cart_line", "grant select, insert")


async def test_an_app_that_works_as_the_owner_is_named(settings: Settings, env: Env) -> None:
    as_owner = msgspec.structs.replace(settings, app_database_url=settings.database_url)
    runtime = host.make_runtime(Env(as_owner, env.vault))
    await runtime.open()
    try:
        found = await _one(runtime, "roles", "failing", "owns ", "JISHI_APP_DATABASE_URL")
        assert "address" in found.detail
    finally:
        await runtime.close()


async def test_migrations_behind_are_named(runtime: Runtime, admin: asyncpg.Connection) -> None:
    await admin.execute("update alembic_coupons set version_num = 'coupons_0001'")
    await _one(runtime, "migrations", "failing", "coupons", "jishi migrate")


async def test_servers_that_are_away_or_old_are_named(settings: Settings, env: Env) -> None:
    away = msgspec.structs.replace(
        settings, app_database_url="postgresql+asyncpg://x@127.0.0.1:1/x", redis_url="redis://127.0.0.1:1/0"
    )
    found = await doctor.doctor(away, host.make_runtime)
    assert {f.check for f in found.findings if f.status == "failing"} == {"database", "redis"}
    assert "roles" not in {f.check for f in found.findings}
    assert "does not answer" in doctor.as_text(found)
    assert servers.served("database", "PostgreSQL", "14.9 (Debian)", 15).status == "failing"
    assert servers.served("redis", "valkey", "9.1.2", 6).status == "ok"


async def test_clocks_that_differ_are_named() -> None:
    assert servers.drift({"PostgreSQL": 0.2}).status == "ok"
    assert servers.drift({"PostgreSQL": 0.2, "Redis": 3.0}).status == "warning"
    found = servers.drift({"PostgreSQL": 61.5})
    assert (found.status, "61.500" in found.detail) == ("failing", True)


async def test_the_secret_file_is_looked_at(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.chmod(0o644)
    assert machine.secret_file(settings).status == "warning"
    assert machine.secret_file(settings).mend == f"chmod 600 {path}"
    path.write_text("0f" * 16)
    assert "no 64 hex digits" in machine.secret_file(settings).detail
    path.unlink()
    found = await doctor.doctor(settings, host.make_runtime)
    assert [f.check for f in found.findings] == ["secret"]
    assert found.status == "failing"
    assert not path.exists(), "the doctor makes no new secret"


async def test_another_secret_than_the_stored_one_is_named(runtime: Runtime, env: Env) -> None:
    await a_buyer(runtime)
    assert [f.detail for f in await books.stored(runtime)] == ["1 looked at, all open."]
    runtime.env = Env(env.settings, Vault(b"another secret of 32 bytes......"))
    found = await books.stored(runtime)
    assert found[0].status == "failing"
    assert "another secret" in found[0].detail


async def test_plugins_without_code_or_with_a_wrong_config_are_named(
    runtime: Runtime, admin: asyncpg.Connection
) -> None:
    await admin.execute(
        "insert into deployment_plugin (name, enabled, updated_at) values ('gone', true, now()), ('past', false, now())"
    )
    await admin.execute("update deployment_plugin set config = '{\"nonsense\": 1}' where name = 'commission'")
    bad = {f.detail.split()[0]: f for f in _bad(await examine(runtime), "plugins")}
    assert {n: f.status for n, f in bad.items()} == {
        "gone": "failing",
        "past": "warning",
        "commission": "failing",
    }
    assert "not installed" in bad["gone"].detail
    assert "jishi plugin config commission" in bad["commission"].mend


async def test_processes_that_are_missing_or_run_another_generation_are_named(runtime: Runtime) -> None:
    await _process(runtime, "web")
    await _process(runtime, "worker", age=300)
    await _one(runtime, "generations", "warning", "No worker process", "`jishi worker`")
    await _process(runtime, "worker", generation=999)
    await _one(runtime, "generations", "failing", "1 of 2 processes do not run generation")


async def test_deliveries_that_do_not_arrive_are_counted_by_plugin(
    runtime: Runtime, admin: asyncpg.Connection
) -> None:
    async with runtime.tx(SYSTEM) as tx:
        past = tx.now - timedelta(hours=1)
        for plugin, status, due, tries, error in (
            ("coupons", "parked", past, 20, "E: x"),
            ("coupons", "parked", past, 20, "E: x"),
            ("core", "new", tx.now + timedelta(minutes=1), 3, "E: x"),
            ("express_delivery", "new", past, 0, None),
        ):
            event = new_id()
            await tx.execute(
                "insert into outbox (id, event, payload, scope, at) values ($1, 'x', '{}', 'system', $2)",
                event,
                past,
            )
            await tx.execute(
                "insert into delivery (event_id, plugin, status, due_at, tries, error) values ($1,$2,$3,$4,$5,$6)",
                event, plugin, status, due, tries, error,
            )  # fmt: skip
    bad = [(f.status, f.detail) for f in _bad(await examine(runtime), "deliveries")]
    assert bad == [
        ("warning", "core: 1 failed and tried again."),
        ("failing", "coupons: 2 parked after too many tries."),
        ("failing", "express_delivery: 1 more than five minutes late."),
    ]


async def test_stock_that_does_not_add_up_is_named(runtime: Runtime, admin: asyncpg.Connection) -> None:
    merchant, sku = new_id(), new_id()
    await admin.execute(
        "insert into stock (merchant_id, sku_id, on_hand, reserved) values ($1, $2, 5, 2)", merchant, sku
    )
    found = [f.detail for f in _bad(await examine(runtime), "stock")]
    assert len(found) == 2
    assert f"{sku} (2, open orders 0)" in found[0]
    assert f"{sku} (5 on hand, journal 0)" in found[1]


async def test_unsafe_settings_of_a_public_market_are_named(
    settings: Settings, env: Env, runtime: Runtime
) -> None:
    runtime.env = Env(
        msgspec.structs.replace(settings, public_url="http://market.example", demo=True), env.vault
    )
    found = await _one(runtime, "settings", "failing", "without paying", "demo", "not limited", "not https")
    assert "JISHI_SANDBOX=0" in found.mend
    sound = {"sandbox": False, "demo": False, "rate_limits": True, "public_url": "https://market.example"}
    runtime.env = Env(msgspec.structs.replace(settings, **sound), env.vault)
    assert not _bad(await examine(runtime), "settings")


def test_little_room_on_the_disk_is_named() -> None:
    gib = 1 << 30
    assert machine.room("/x", 50 * gib, 100 * gib).status == "ok"
    assert machine.room("/x", gib, 100 * gib).status == "warning"
    assert machine.room("/x", 1 << 20, 100 * gib).status == "failing"


async def test_the_route_answers_operators_only(client: httpx.AsyncClient, runtime: Runtime) -> None:
    operator = Session(client, runtime, await an_operator(runtime))
    answer = await operator.get("/api/platform/doctor")
    assert answer.status_code == 200, answer.text
    assert {"status", "findings"} == set(answer.json())
    reviewer = Session(client, runtime, await sign_in(runtime, Audience.PLATFORM, None, ("reviewer",)))
    assert (await reviewer.get("/api/platform/doctor")).json()["code"] == "permission_missing"
    buyer = Session(client, runtime, await a_buyer(runtime))
    assert (await buyer.get("/api/platform/doctor")).status_code == 403


async def test_the_command_exits_with_1_only_when_something_fails(
    settings: Settings, admin: asyncpg.Connection
) -> None:
    environ = os.environ | {
        "JISHI_DATABASE_URL": settings.database_url,
        "JISHI_APP_DATABASE_URL": settings.app_database_url,
        "JISHI_REDIS_URL": settings.redis_url,
        "JISHI_DATA": settings.data,
    }

    def _run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "host.py"), "doctor", *words]
        return subprocess.run(
            command, env=environ, cwd=settings.data, capture_output=True, text=True, timeout=60
        )

    well = _run()
    assert well.returncode == 0, well.stdout + well.stderr
    assert "ok       ledger: Money agrees" in well.stdout
    await admin.execute("alter table orders disable row level security")
    ill = _run("--json")
    assert ill.returncode == 1
    found = json.loads(ill.stdout)
    assert found["status"] == "failing"
    assert [f["check"] for f in found["findings"] if f["status"] == "failing"] == ["row security"]
