"""One transaction in one scope, and nothing left over for the next."""

import asyncio

import asyncpg
import pytest

from core import hookspecs
from core.deployment.runtime import Runtime
from core.kit.errors import Unauthorized
from core.kit.ids import new_id
from core.types.events import AccountEvent
from core.types.scope import ANONYMOUS, SYSTEM, Scope, buyer

_ADD = "insert into account (id, login, password_hash, nickname, pseudonym, created_at) values ($1, $2, '', 'n', $1, $3)"


async def test_what_is_not_committed_is_gone(runtime: Runtime) -> None:
    key = new_id()
    with pytest.raises(RuntimeError):
        async with runtime.tx(SYSTEM) as tx:
            await tx.execute(_ADD, key, str(key), tx.now)
            raise RuntimeError
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from account where id = $1", key) == 0


async def test_the_scope_ends_with_its_transaction(runtime: Runtime) -> None:
    key = new_id()
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(_ADD, key, str(key), tx.now)
    async with runtime.tx(ANONYMOUS) as tx:
        assert await tx.fetch("select * from account") == []
    async with runtime.tx(buyer(key)) as tx:
        assert len(await tx.fetch("select * from account")) == 1
    async with runtime.tx(buyer(new_id())) as tx:
        assert await tx.fetch("select * from account") == []


async def test_a_connection_returned_inside_a_transaction_is_not_lent_again(runtime: Runtime) -> None:
    tx = runtime.tx(SYSTEM)
    pid = await tx.fetchval("select pg_backend_pid()")
    tx._pooled.close()
    seen = set()
    for _ in range(6):
        async with runtime.tx(ANONYMOUS) as other:
            seen.add(await other.fetchval("select pg_backend_pid()"))
            assert await other.fetchval("select nullif(current_setting('jishi.scope', true), '')") is None
    assert pid not in seen


async def test_control_a_raw_begin_would_leak_its_scope_without_the_check(runtime: Runtime) -> None:
    from sqlalchemy import event

    from core.db.engine import _discard_if_open

    event.remove(runtime.engine.sync_engine.pool, "checkin", _discard_if_open)
    tx = runtime.tx(SYSTEM)
    await tx.fetchval("select 1")
    tx._pooled.close()
    async with runtime.tx(ANONYMOUS) as other:
        assert await other.fetchval("select current_setting('jishi.scope', true)") == "system"
        await other.execute("rollback")


async def test_a_revoked_session_cannot_open_a_transaction(runtime: Runtime) -> None:
    tx = runtime.tx(Scope("buyer", account_id=new_id(), session_id=new_id()))
    with pytest.raises(Unauthorized) as refused:
        await tx.fetchval("select 1")
    assert refused.value.code == "token_revoked"
    await tx.close()


async def test_a_session_and_raw_statements_share_the_transaction(runtime: Runtime) -> None:
    import sqlalchemy as sa

    from core.identity.models import account

    key = new_id()
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(_ADD, key, str(key), tx.now)
        session = await tx.session()
        assert (
            await session.execute(sa.select(account.c.nickname).where(account.c.id == key))
        ).scalar_one() == "n"
        await session.execute(sa.update(account).where(account.c.id == key).values(nickname="m"))
        assert await tx.fetchval("select nickname from account where id = $1", key) == "m"


async def test_a_savepoint_undoes_its_part_only(runtime: Runtime) -> None:
    kept, lost = new_id(), new_id()
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(_ADD, kept, str(kept), tx.now)
        with pytest.raises(asyncpg.UniqueViolationError):
            async with tx.savepoint("part"):
                await tx.execute(_ADD, lost, str(lost), tx.now)
                await tx.execute(_ADD, lost, str(lost), tx.now)
    async with runtime.tx(SYSTEM) as tx:
        assert {
            r["id"] for r in await tx.fetch("select id from account where id in ($1, $2)", kept, lost)
        } == {kept}


async def test_events_are_rows_only_if_the_transaction_is_kept(runtime: Runtime) -> None:
    event = AccountEvent(new_id())
    async with runtime.tx(SYSTEM) as tx:
        tx.schedule("core", "close_unpaid", event, tx.now)
        await tx.fetchval("select 1")
    with pytest.raises(RuntimeError):
        async with runtime.tx(SYSTEM) as tx:
            tx.schedule("core", "close_unpaid", event, tx.now)
            await tx.fetchval("select 1")
            raise RuntimeError
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from outbox where event = 'timer:close_unpaid'") == 1
        assert await tx.fetchval("select count(*) from delivery where plugin = 'core'") == 1


async def test_a_cancelled_transaction_is_rolled_back_and_its_connection_usable(runtime: Runtime) -> None:
    key = new_id()

    async def work() -> None:
        async with runtime.tx(SYSTEM) as tx:
            await tx.execute(_ADD, key, str(key), tx.now)
            await tx.execute("select pg_sleep(30)")

    task = asyncio.create_task(work())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from account where id = $1", key) == 0


def test_specs_that_nobody_implements_cost_nothing(runtime: Runtime) -> None:
    tx = runtime.tx(SYSTEM)
    tx.emit(hookspecs.merchant_changed, AccountEvent(new_id()))  # type: ignore[type-var]
    assert tx._events == []


async def test_a_connection_in_an_unknown_state_is_not_lent_again(runtime: Runtime) -> None:
    tx = runtime.tx(SYSTEM)
    pid = await tx.fetchval("select pg_backend_pid()")
    running = asyncio.create_task(tx._driver.execute("select pg_sleep(5)"))  # type: ignore[union-attr]
    await asyncio.sleep(0.05)
    with pytest.raises((asyncpg.InterfaceError, asyncpg.InternalClientError)):
        await tx.fetchval("select 1")
    await tx.close()
    await asyncio.gather(running, return_exceptions=True)
    for _ in range(6):
        async with runtime.tx(ANONYMOUS) as other:
            assert await other.fetchval("select pg_backend_pid()") != pid
    assert runtime.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_an_anonymous_read_begins_a_transaction_in_the_scope_it_enters(runtime: Runtime) -> None:
    me, other = new_id(), new_id()
    async with runtime.tx(SYSTEM) as tx:
        for key in (me, other):
            await tx.execute(_ADD, key, str(key), tx.now)
    async with runtime.tx(ANONYMOUS) as tx:
        assert await tx.fetch("select id from account") == []
        await tx.enter(buyer(me))
        assert [row["id"] for row in await tx.fetch("select id from account")] == [me]
        await tx.execute("update account set nickname = 'mine'")
        await tx.enter(buyer(other))
        assert [row["id"] for row in await tx.fetch("select id from account")] == [other]
        # The read, BEGIN with its settings, three statements and one change of scope; then COMMIT.
        assert tx.statements == 6
    async with runtime.tx(SYSTEM) as tx:
        names = await tx.fetch("select id, nickname from account where id = any($1::uuid[])", [me, other])
    assert {row["id"]: row["nickname"] for row in names} == {me: "mine", other: "n"}


async def test_a_scope_entered_from_an_anonymous_read_ends_with_its_transaction(runtime: Runtime) -> None:
    key, pids = new_id(), set()
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(_ADD, key, str(key), tx.now)
    tx = runtime.tx(ANONYMOUS)
    pids.add(await tx.fetchval("select pg_backend_pid()"))
    await tx.enter(buyer(key))
    await tx.execute("update account set nickname = 'lost'")
    await tx.close()
    async with runtime.tx(ANONYMOUS) as other:
        assert await other.fetchval("select pg_backend_pid()") in pids
        assert await other.fetchval("select nullif(current_setting('jishi.account_id', true), '')") is None
        assert await other.fetch("select id from account") == []
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select nickname from account where id = $1", key) == "n"


async def test_entering_as_somebody_whose_session_ended_is_refused(runtime: Runtime) -> None:
    tx = runtime.tx(ANONYMOUS)
    await tx.fetchval("select 1")
    with pytest.raises(Unauthorized) as refused:
        await tx.enter(Scope("buyer", account_id=new_id(), session_id=new_id()))
    assert refused.value.code == "token_revoked"
    await tx.close()
    assert runtime.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("scope", [ANONYMOUS, SYSTEM])
@pytest.mark.parametrize("begun", [False, True])
async def test_a_look_aside_leaves_nothing_behind(runtime: Runtime, scope: Scope, begun: bool) -> None:
    key = new_id()
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute(_ADD, key, str(key), tx.now)
    async with runtime.tx(scope) as tx:
        if begun:
            await tx.fetchval("select 1")
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with tx.aside():
                await tx.enter(buyer(key))
                await tx.execute("update account set nickname = 'lost'")
                tx.schedule("core", "close_unpaid", AccountEvent(key), tx.now)
                await tx.fetchval("select 1 / 0")
        assert (tx.scope, tx._events) == (scope, [])
        seen = await tx.fetch("select nickname from account where id = $1", key)
        assert [row["nickname"] for row in seen] == (["n"] if scope is SYSTEM else [])


async def test_a_look_aside_that_stays_anonymous_costs_nothing(runtime: Runtime) -> None:
    async with runtime.tx(ANONYMOUS) as tx:
        async with tx.aside():
            await tx.fetchval("select 1")
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with tx.aside():
                await tx.fetchval("select 1 / 0")
        assert await tx.fetchval("select 2") == 2
        assert tx.statements == 3


async def test_events_and_scope_of_an_undone_part_go_with_it(runtime: Runtime) -> None:
    event = AccountEvent(new_id())
    async with runtime.tx(SYSTEM) as tx:
        tx.schedule("core", "close_unpaid", event, tx.now)
        with pytest.raises(RuntimeError):
            async with tx.savepoint("part"):
                tx.schedule("core", "close_unpaid", event, tx.now)
                await tx.enter(buyer(new_id()))
                raise RuntimeError
        assert tx.scope == SYSTEM
        assert await tx.fetchval("select current_setting('jishi.scope')") == "system"
        async with tx.savepoint("part"):
            tx.schedule("core", "close_unpaid", event, tx.now)
    async with runtime.tx(SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from outbox where event = 'timer:close_unpaid'") == 2
