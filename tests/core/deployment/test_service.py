"""Switching plugins on and off: live, checked as a whole, refused with the reason."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from core import hookspecs
from core.deployment import service
from core.deployment.runtime import Runtime
from core.deployment.schemas import PluginInfo
from core.kit.errors import Conflict, JishiError, NotFound
from core.kit.ids import new_id
from core.types.scope import PLATFORM, Scope
from tests.core.deployment.deployment_plugins import CLASSES, Base, BaseConfig, Make

_BY = new_id()
_ME = Scope("system", actor_id=_BY)


async def _on(runtime: Runtime, name: str) -> PluginInfo:
    return await service.enable(runtime, name, _ME)


async def _off(runtime: Runtime, name: str) -> PluginInfo:
    return await service.disable(runtime, name, _ME)


async def _configure(runtime: Runtime, name: str, new: object) -> dict[str, object]:
    return (await service.configure(runtime, name, new, _ME)).config


async def _rows(runtime: Runtime) -> list[tuple[object, ...]]:
    async with runtime.tx(PLATFORM) as tx:
        rows = await tx.fetch("select name, enabled, config::text from deployment_plugin order by name")
        last = await tx.fetchval("select max(id) from generation where status = 'active'")
    return [*(tuple(r) for r in rows), (last,)]


async def test_first_start_enables_the_given_set_and_later_starts_change_nothing(make: Make) -> None:
    runtime = await make()
    assert list(runtime.snapshot.active) == ["base"]
    await _off(runtime, "base")
    before = await _rows(runtime)
    await service.ensure(runtime.env.settings.database_url, CLASSES, ["base", "above"], hookspecs)
    assert await _rows(runtime) == before


async def test_hooks_are_gone_and_back_as_soon_as_the_change_is_committed(make: Make) -> None:
    runtime = await make()
    assert [name for name, _ in runtime.snapshot.hooks.of(hookspecs.order_paid)] == ["base"]
    begun = runtime.tx(PLATFORM)
    info = await _off(runtime, "base")
    assert (info.enabled, info.winding_down) == (False, True)
    assert runtime.snapshot.hooks.of(hookspecs.order_paid) == ()
    assert runtime.snapshot.hooks.find("order_paid", "base") is not None, "begun business goes on"
    assert begun.hooks.of(hookspecs.order_paid), "a request keeps the plugins it began with"
    assert (await _on(runtime, "base")).enabled
    assert [name for name, _ in runtime.snapshot.hooks.of(hookspecs.order_paid)] == ["base"]


async def test_other_processes_take_the_config_over_and_the_old_one_is_kept(make: Make) -> None:
    here, there = await make(), await make()
    assert await _configure(here, "base", msgspec.Raw(b'{"percent": 7}')) == {"percent": 7}
    assert await there.reload()
    assert not await there.reload()
    assert there.snapshot.config(BaseConfig).percent == 7
    async with here.tx(PLATFORM) as tx:
        row = await tx.fetchrow("select previous->'config' = '{}' as was, updated_by from deployment_plugin")
        change = await tx.fetchval("select change from generation order by id desc limit 1")
        assert (await service.config(tx, here, "base")).config == {"percent": 7}
    assert row is not None
    assert (row["was"], row["updated_by"], change) == (True, _BY, "configure base")


Action = Callable[[Runtime], Awaitable[object]]


@pytest.mark.parametrize(
    ("action", "error", "code", "words"),
    [
        (lambda r: _on(r, "misfit"), Conflict, "plugin_refused", "order_paid takes"),
        (lambda r: _on(r, "unmigratable"), Conflict, "plugin_refused", "tables of unmigratable"),
        (lambda r: _on(r, "nobody"), NotFound, "not_found", "nobody"),
        (lambda r: _off(r, "nobody"), NotFound, "not_found", "nobody"),
        (lambda r: _configure(r, "base", {"percent": 101}), Conflict, "plugin_refused", "percent must be"),
        (lambda r: _configure(r, "base", {"percnt": 1}), Conflict, "plugin_refused", "percnt"),
        (lambda r: _configure(r, "base", msgspec.Raw(b"{")), Conflict, "plugin_refused", "base"),
        (lambda r: _configure(r, "nobody", {}), NotFound, "not_found", "nobody"),
    ],
)
async def test_what_does_not_fit_is_refused_and_nothing_changes(
    make: Make, action: Action, error: type[JishiError], code: str, words: str
) -> None:
    runtime = await make()
    snapshot, rows = runtime.snapshot, await _rows(runtime)
    with pytest.raises(error, match=words) as raised:
        await action(runtime)
    assert raised.value.code == code
    assert runtime.snapshot is snapshot
    assert await _rows(runtime) == rows


async def test_requirements_are_named_in_both_directions(make: Make) -> None:
    runtime = await make()
    await _on(runtime, "above")
    with pytest.raises(Conflict, match="above requires base"):
        await _off(runtime, "base")
    await _off(runtime, "above")
    await _off(runtime, "base")
    with pytest.raises(Conflict, match="requires base"):
        await _on(runtime, "above")


async def test_pinned_plugins_follow_the_settings(make: Make) -> None:
    runtime = await make(pins={"base": False, "above": False})
    assert not runtime.snapshot.active
    with pytest.raises(Conflict) as raised:
        await _on(runtime, "base")
    assert raised.value.code == "pinned"
    always = await make(pins={"base": True})
    with pytest.raises(Conflict) as raised:
        await _off(always, "base")
    assert raised.value.code == "pinned"


async def test_repeating_a_switch_makes_no_new_generation(make: Make) -> None:
    runtime = await make()
    before = await _rows(runtime)
    await _on(runtime, "base")
    await _off(runtime, "above")
    assert await _rows(runtime) == before


async def test_market_starts_without_a_plugin_whose_code_is_gone(make: Make) -> None:
    await _on(await make(), "above")
    lacking = await make({k: v for k, v in CLASSES.items() if k != "base"})
    assert not lacking.snapshot.active
    assert set(lacking.left_out) == {"base", "above"}
    assert "not installed" in lacking.left_out["base"]
    async with lacking.tx(PLATFORM) as tx:
        problems = {p.name: p.problem for p in await service.plugins(tx, lacking)}
    assert problems["above"] is not None
    assert problems["misfit"] is None


async def test_market_starts_without_a_plugin_whose_stored_config_no_longer_parses(make: Make) -> None:
    class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """A later version's config."""

        share: int

    class Later(Base):
        Config = Strict

    await _configure(await make(), "base", {"percent": 7})
    runtime = await make({"base": Later})
    assert "base" in runtime.left_out
    assert await _configure(runtime, "base", {"share": 1}) == {"share": 1}, "and the operator can mend it"
    assert list(runtime.snapshot.active) == ["base"]


async def test_broken_plugin_can_be_switched_off(make: Make) -> None:
    await make()
    lacking = await make({})
    assert not (await _off(lacking, "base")).enabled
