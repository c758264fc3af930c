"""A change reaches every live process or none: acknowledged, withdrawn with the reason, one at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest

from core.deployment import following, generations, history, service
from core.deployment.runtime import Runtime
from core.kit.errors import Conflict
from core.kit.ids import new_id
from core.plugin import Snapshot
from core.types.scope import SYSTEM
from tests.core.deployment.deployment_plugins import CLASSES, Base, BaseConfig, Make


@asynccontextmanager
async def live(runtime: Runtime, kind: str = "web") -> AsyncIterator[Runtime]:
    """The runtime as one of the live processes."""
    task = asyncio.create_task(runtime.listen(kind))
    await asyncio.wait_for(runtime.followed.wait(), 5)
    yield runtime
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def two(make: Make) -> AsyncIterator[tuple[Runtime, Runtime]]:
    """A web and a worker process."""
    async with AsyncExitStack() as stack:
        yield (
            await stack.enter_async_context(live(await make())),
            await stack.enter_async_context(live(await make(), "worker")),
        )


class Fragile(Base):
    """Cannot be built with 13 percent."""

    def __init__(self, config: BaseConfig | None = None) -> None:
        super().__init__(config)
        if config is not None and config.percent == 13:
            raise RuntimeError("thirteen brings bad luck")


async def sql(runtime: Runtime, words: str, *args: object) -> list[asyncpg.Record]:
    async with runtime.tx(SYSTEM) as tx:
        return await tx.fetch(words, *args)


async def outcomes(runtime: Runtime) -> list[tuple[str, str, str | None]]:
    async with runtime.tx(SYSTEM) as tx:
        return [(g.change, g.outcome, g.reason) for g in (await history.page(tx, 10, None)).items]


async def silent_process(runtime: Runtime) -> None:
    await sql(
        runtime,
        "insert into process values ($1, 'worker', 'elsewhere', 4711, now(), now() + interval '1 hour', 1)",
        new_id(),
    )


async def test_live_processes_are_listed_and_leave_the_list(make: Make) -> None:
    runtime = await make()
    async with live(runtime):
        found = await sql(runtime, "select kind, host, generation, seen_at - started_at as age from process")
        assert [(r["kind"], r["generation"]) for r in found] == [("web", runtime.snapshot.generation)]
    assert await sql(runtime, "select from process") == []


async def test_a_process_renews_its_row_and_removes_those_of_the_dead(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "BEAT", 0.05)
    runtime = await make()
    await silent_process(runtime)
    await sql(runtime, "update process set seen_at = now() - interval '2 minutes'")
    async with live(runtime):
        await asyncio.sleep(0.3)
        found = await sql(runtime, "select kind, seen_at > started_at as renewed from process")
    assert [(r["kind"], r["renewed"]) for r in found] == [("web", True)]


async def test_when_a_change_is_answered_every_live_process_runs_it(two: tuple[Runtime, Runtime]) -> None:
    here, there = two
    for percent in range(1, 6):
        await service.configure(here, "base", {"percent": percent})
        assert [r.snapshot.config(BaseConfig).percent for r in two] == [percent, percent]
    assert here.snapshot.generation == there.snapshot.generation
    assert await sql(here, "select from acknowledgement") == []


async def test_the_command_line_is_acknowledged_by_those_who_live(
    two: tuple[Runtime, Runtime], make: Make
) -> None:
    aside = await make()
    await service.disable(aside, "base")
    assert [list(r.snapshot.active) for r in two] == [[], []]
    assert len(await sql(aside, "select from process")) == 2


async def test_one_process_that_cannot_build_withdraws_it_for_all(make: Make) -> None:
    fragile = {**CLASSES, "base": Fragile}
    here, there = await make(), await make(fragile)
    async with live(here), live(there, "worker"):
        before = here.snapshot, there.snapshot
        with pytest.raises(Conflict, match=r"worker process .* cannot run it: .*thirteen") as refused:
            await service.configure(here, "base", {"percent": 13})
        assert refused.value.code == "generation_withdrawn"
        assert (here.snapshot, there.snapshot) == before
        assert (await sql(here, "select config::text from deployment_plugin"))[0][0] == "{}"
        [(change, outcome, reason), *_] = await outcomes(here)
        assert (change, outcome) == ("configure base", "withdrawn")
        assert "thirteen" in (reason or "")
        await service.configure(here, "base", {"percent": 14})
        assert there.snapshot.config(BaseConfig).percent == 14, "the next change is not hindered"


async def test_an_app_that_cannot_be_built_refuses_too(two: tuple[Runtime, Runtime]) -> None:
    async def refuse(_: Snapshot) -> Callable[[], None]:
        raise RuntimeError("two routes are the same")

    two[1].on_build(refuse)
    with pytest.raises(Conflict, match="two routes are the same"):
        await service.enable(two[0], "above")
    assert "above" not in two[0].snapshot.active


async def test_silence_withdraws(two: tuple[Runtime, Runtime], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "WAIT", 0.3)
    await silent_process(two[0])
    with pytest.raises(Conflict, match=r"No answer within 0\.3 s from worker process 4711 on elsewhere"):
        await service.disable(two[0], "base")
    assert [list(r.snapshot.active) for r in two] == [["base"], ["base"]]
    await sql(two[0], "update process set seen_at = now() - interval '11 seconds' where pid = 4711")
    await service.disable(two[0], "base")
    assert [list(r.snapshot.active) for r in two] == [[], []], "the dead are not waited for"


async def test_a_process_whose_death_is_told_is_not_waited_for(
    two: tuple[Runtime, Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, elsewhere = two[0].env.settings.app_database_url, "select id from process where pid = 4711"
    await silent_process(two[0])
    changing = asyncio.create_task(service.disable(two[0], "base"))
    await asyncio.sleep(0.4)
    assert not changing.done()
    [(process_id,)] = await sql(two[0], elsewhere)
    await following.forget(url, process_id)
    await asyncio.wait_for(changing, 8)
    assert [list(r.snapshot.active) for r in two] == [[], []]
    assert len(await sql(two[0], "select from process")) == 2, "the others are still there"
    monkeypatch.setattr(following, "DEAD", 0.5)
    with pytest.raises(TimeoutError):
        await following.forget(url.replace("jishi_app:", "jishi_app:wrong"), process_id)


async def test_who_starts_a_process_may_say_under_which_id_it_is_listed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = new_id()
    monkeypatch.setenv(following.PROCESS, str(given))
    runtime = await make()
    async with live(runtime), live(await make()):
        listed = {r["id"] for r in await sql(runtime, "select id from process")}
    assert given in listed
    assert len(listed) == 2, "the id is one process's"


async def test_a_process_that_comes_meanwhile_runs_the_new_generation(
    two: tuple[Runtime, Runtime], make: Make
) -> None:
    late = await make()
    changing = asyncio.create_task(service.configure(two[0], "base", {"percent": 9}))
    async with live(late):
        await changing
        assert late.snapshot.config(BaseConfig).percent == 9


async def test_a_dead_coordinators_proposal_is_withdrawn_by_the_next_change_or_by_time(
    two: tuple[Runtime, Runtime], make: Make
) -> None:
    propose = """insert into generation (at, change, status, state, until)
        select now(), 'left over', 'proposed', state, now() + $1 * interval '1 second' from generation
        where state is not null limit 1"""
    await service.configure(two[0], "base", {"percent": 1})
    await sql(two[0], propose, 60)
    await service.configure(two[0], "base", {"percent": 2})
    assert [o[:2] for o in await outcomes(two[0])][1] == ("left over", "withdrawn")
    await sql(two[0], propose, -1)
    async with live(await make()):
        [(change, outcome, reason), *_] = await outcomes(two[0])
    assert (change, outcome) == ("left over", "withdrawn")
    assert "gone" in (reason or "")


async def test_a_coordinator_that_is_cut_off_withdraws(two: tuple[Runtime, Runtime]) -> None:
    await silent_process(two[0])
    changing = asyncio.create_task(service.disable(two[0], "base"))
    await asyncio.sleep(0.4)
    changing.cancel()
    await asyncio.gather(changing, return_exceptions=True)
    assert (await outcomes(two[0]))[0][1] == "withdrawn"
    await sql(two[0], "delete from process where pid = 4711")
    await service.disable(two[0], "base")


async def test_two_changes_at_once_are_made_one_after_the_other(two: tuple[Runtime, Runtime]) -> None:
    await asyncio.gather(
        *(service.configure(two[n % 2], "base", {"percent": n}) for n in range(4)),
        service.enable(two[0], "above"),
    )
    assert all(o[1] == "active" for o in await outcomes(two[0]))
    assert two[0].snapshot.config(BaseConfig) == two[1].snapshot.config(BaseConfig)
    assert "above" in two[1].snapshot.active


async def test_a_change_that_would_wait_too_long_for_another_is_refused(
    two: tuple[Runtime, Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generations, "QUEUE", 0.1)
    async with generations.alone(two[0]):
        with pytest.raises(Conflict) as refused:
            await service.disable(two[1], "base")
    assert refused.value.code == "change_under_way"


async def test_undo_goes_back_and_forth(two: tuple[Runtime, Runtime]) -> None:
    here, there = two
    await service.configure(here, "base", {"percent": 7})
    await service.disable(here, "base")
    done = await history.undo(here, here.snapshot.generation)
    assert (done.outcome, done.change.split(" (")[1]) == ("active", "disable base)")
    assert list(there.snapshot.active) == ["base"]
    assert there.snapshot.config(BaseConfig).percent == 7
    await history.undo(here, here.snapshot.generation)
    assert not there.snapshot.active, "undoing the undo comes back"
    with pytest.raises(Conflict) as refused:
        await history.undo(here, here.snapshot.generation - 1)
    assert refused.value.code == "generation_changed"


async def test_undo_takes_back_the_config_of_a_plugin_that_was_never_on(make: Make) -> None:
    runtime = await make()
    await sql(runtime, "delete from deployment_plugin")
    await service.configure(runtime, "base", {"percent": 7})
    await history.undo(runtime, runtime.snapshot.generation)
    [(enabled, config)] = await sql(runtime, "select enabled, config::text from deployment_plugin")
    assert (enabled, config) == (False, "{}")
    await history.undo(runtime, runtime.snapshot.generation)
    assert (await sql(runtime, "select config::text from deployment_plugin"))[0][0] == '{"percent": 7}'


async def test_there_is_nothing_before_the_first_start(make: Make) -> None:
    runtime = await make()
    with pytest.raises(Conflict) as refused:
        await history.undo(runtime, runtime.snapshot.generation)
    assert refused.value.code == "nothing_to_undo"


async def test_undo_minds_the_pins(make: Make) -> None:
    await service.disable(await make(), "base")
    pinning = await make(pins={"base": False})
    with pytest.raises(Conflict) as refused:
        await history.undo(pinning, pinning.snapshot.generation)
    assert refused.value.code == "pinned"
