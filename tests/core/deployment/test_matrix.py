"""Versions of the stacking matrix: published as a whole, one after another, live everywhere."""

import asyncio

import pytest

from core.deployment import matrix, service
from core.deployment.runtime import Runtime
from core.deployment.schemas import MatrixOut
from core.kit.errors import Conflict, Invalid, NotFound
from core.kit.ids import new_id
from core.pricing.service import price
from core.types.matrix import NO_EDITS, KindEdit, MatrixEdits, PairEdit
from core.types.pricing import Relation
from core.types.scope import ANONYMOUS, PLATFORM, SYSTEM, Scope
from tests.core.deployment.deployment_plugins import CLASSES, Make
from tests.support.pricing_model import basket, line

_BY = new_id()
STACKED = MatrixEdits(pairs=(PairEdit("offers.sale", "offers.club", Relation.STACK),))
BLOCKED = MatrixEdits(
    kinds=(KindEdit("offers.sale", priority=1),),
    pairs=(PairEdit("offers.club", "offers.sale", Relation.BLOCK),),
)


@pytest.fixture
async def runtime(make: Make) -> Runtime:
    """A process with the probe's offers on."""
    runtime = await make()
    await service.enable(runtime, "offers")
    return runtime


async def publish(runtime: Runtime, edits: MatrixEdits, expected: int, note: str = "") -> MatrixOut:
    return await matrix.publish(runtime, edits, note, expected, Scope("system", actor_id=_BY))


async def current(runtime: Runtime) -> MatrixOut:
    async with runtime.tx(PLATFORM) as tx:
        return await matrix.current(tx, runtime)


async def discount(runtime: Runtime) -> int:
    async with runtime.tx(ANONYMOUS) as tx:
        return (await price(tx, basket(line(1, 1, 1000)))).discount_amount


async def test_at_first_the_declarations_hold_as_version_0(runtime: Runtime) -> None:
    found = await current(runtime)
    assert (found.version, found.by, found.at, found.edits) == (0, None, None, NO_EDITS)
    assert [(k.name, k.plugin, k.phase, k.edited, k.enabled) for k in found.kinds] == [
        ("offers.club", "offers", "shop_promotion", False, True),
        ("offers.sale", "offers", "shop_promotion", False, True),
        ("offers.more", "offers", "market_promotion", False, True),
        ("offers.freight", "offers", "shipping_discount", False, True),
    ]
    assert ("offers.club", "offers.sale", "best") in [(p.a, p.b, p.relation) for p in found.pairs]
    assert await discount(runtime) == 350


async def test_a_published_version_counts_at_once_and_tells_who_and_why(runtime: Runtime) -> None:
    done = await publish(runtime, STACKED, 0, "both at once")
    assert done == await current(runtime)
    assert (done.version, done.note, done.edits) == (1, "both at once", STACKED)
    assert done.by is not None
    assert [(p.a, p.b, p.relation) for p in done.pairs if p.edited] == [
        ("offers.club", "offers.sale", Relation.STACK)
    ]
    assert await discount(runtime) == 450
    await publish(runtime, BLOCKED, 1)
    assert await discount(runtime) == 150
    assert [k.name for k in (await current(runtime)).kinds if k.edited] == ["offers.sale"]
    async with runtime.tx(SYSTEM) as tx:
        changes = await tx.fetch("select change, by from generation order by id desc limit 2")
    assert [tuple(c) for c in changes] == [("matrix 2", _BY), ("matrix 1", _BY)]


async def test_another_process_hears_of_a_version_at_once(runtime: Runtime, make: Make) -> None:
    there = await make()
    changed = asyncio.Event()

    async def note() -> None:
        changed.set()

    there.on_change(note)
    listening = asyncio.create_task(there.listen())
    await asyncio.sleep(0.2)
    before = there.snapshot
    await publish(runtime, STACKED, 0)
    await asyncio.wait_for(changed.wait(), 2)
    assert await discount(there) == 450
    assert before.edits == NO_EDITS, "a request keeps the matrix it began with"
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_of_two_publishers_at_once_one_is_told_to_look_again(runtime: Runtime, make: Make) -> None:
    there = await make()
    results = await asyncio.gather(
        publish(runtime, STACKED, 0), publish(there, BLOCKED, 0), return_exceptions=True
    )
    refused = [r for r in results if isinstance(r, Conflict)]
    assert len(refused) == 1, results
    assert (refused[0].code, refused[0].extra["version"]) == ("matrix_changed", 1)
    won = next(r for r in results if isinstance(r, MatrixOut))
    assert (await current(runtime)).edits == won.edits


async def test_contradictions_are_refused_and_nothing_changes(runtime: Runtime) -> None:
    snapshot = runtime.snapshot
    bad = MatrixEdits(
        kinds=(KindEdit("offers.nobody"), KindEdit("offers.freight", phase="points")),
        pairs=(PairEdit("offers.sale", "offers.club", Relation.BLOCK),),
    )
    with pytest.raises(Invalid) as refused:
        await publish(runtime, bad, 0)
    assert refused.value.code == "matrix_contradicts"
    assert [(e.field, e.code) for e in refused.value.extra["errors"]] == [
        ("edits.kinds[0].name", "unknown_kind"),
        ("edits.kinds[1].phase", "phase_fixed"),
        ("edits.pairs[0].relation", "no_order"),
    ]
    assert (await current(runtime)).version == 0
    assert runtime.snapshot is snapshot


async def test_history_is_paged_and_old_versions_can_be_published_again(runtime: Runtime) -> None:
    for n, edits in enumerate([STACKED, BLOCKED, NO_EDITS]):
        await publish(runtime, edits, n, f"note {n + 1}")
    async with runtime.tx(PLATFORM) as tx:
        first = await matrix.history(tx, 2, None)
        second = await matrix.history(tx, 2, first.next_cursor)
        assert (await matrix.version(tx, 1)).edits == STACKED
        assert (await matrix.version(tx, 0)).edits == NO_EDITS
        for number in (4, -1, 2**40):
            with pytest.raises(NotFound):
                await matrix.version(tx, number)
    assert [v.note for v in first.items] == ["note 3", "note 2"]
    assert [v.note for v in second.items] == ["note 1"]
    assert second.next_cursor is None
    again = await matrix.restore(runtime, 1, "", 3)
    assert (again.version, again.edits, again.note) == (4, STACKED, "Version 1 again.")
    assert await discount(runtime) == 450
    assert (await matrix.restore(runtime, 0, "back", 4)).edits == NO_EDITS
    assert await discount(runtime) == 350


async def test_restoring_minds_the_newest_version_too(runtime: Runtime) -> None:
    await publish(runtime, STACKED, 0)
    with pytest.raises(Conflict) as refused:
        await matrix.restore(runtime, 0, "", 0)
    assert refused.value.code == "matrix_changed"


async def test_entries_for_a_plugin_that_is_off_or_gone_are_kept(runtime: Runtime, make: Make) -> None:
    await publish(runtime, BLOCKED, 0)
    await service.disable(runtime, "offers")
    assert runtime.snapshot.matrix.kinds == {}
    assert {k.enabled for k in (await current(runtime)).kinds} == {False}
    assert (await publish(runtime, BLOCKED, 1)).version == 2, "its kinds are still known"

    without = await make({n: c for n, c in CLASSES.items() if n != "offers"})
    found = await current(without)
    assert (found.kinds, found.edits) == ((), BLOCKED)
    assert (await publish(without, BLOCKED, 2)).version == 3, "what is in the table may stay"
    with pytest.raises(Invalid):
        await publish(without, MatrixEdits(kinds=(KindEdit("offers.more"),)), 3)

    await service.enable(runtime, "offers")
    assert await discount(runtime) == 150, "and counts again when the plugin is back"


async def test_toggling_a_plugin_keeps_the_matrix(runtime: Runtime) -> None:
    await publish(runtime, STACKED, 0)
    await service.enable(runtime, "above")
    assert runtime.snapshot.edits == STACKED


async def test_edits_of_a_later_release_do_not_keep_the_market_from_starting(
    runtime: Runtime, make: Make
) -> None:
    await publish(runtime, STACKED, 0)
    async with runtime.tx(SYSTEM) as tx:
        await tx.execute("update pricing_matrix set edits = '{\"colours\": []}'")
    assert await discount(await make()) == 350, "what the plugins declare holds"
