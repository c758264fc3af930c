"""A run: bursts of stories under fire, each followed by the proofs."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.stress import doubts, proofs, quiet, reached
from tests.stress.buying import buy, settle_payment
from tests.stress.client import Caller, GiveUpError
from tests.stress.course import Course
from tests.stress.fulfilling import fulfil
from tests.stress.killer import Killer, plan
from tests.stress.place import Place
from tests.stress.scene import OPERATOR, PASSWORD, restock, set_up
from tests.stress.story import Story, World
from tests.stress.tally import Tally

# Stories that have begun and not ended; most of them wait.
_ALIVE = 400


class Options(NamedTuple):
    """What a run is asked for. The same seed makes the same decisions."""

    seed: int
    purchases: int = 300
    kills: int = 6
    burst: int = 1250
    minutes: float = 60
    at_once: int = 16
    shops: int = 4
    buyers: int = 24
    web_processes: int = 2
    pace: float = 1
    only: int | None = None


def run(options: Options) -> Tally:
    """Start a deployment, tell all stories, prove what must hold, take everything down again."""
    tally = Tally()
    place = Place(web_processes=options.web_processes, pace=options.pace)
    try:
        place.start()
        place.add_operator(OPERATOR, PASSWORD)
        asyncio.run(_all(options, place, tally))
        if place.stop() != 0:
            tally.found("does not stop cleanly", place.log.read_text(errors="replace")[-500:])
    finally:
        _take_down(place)
    if tally.findings:
        print(f"  the log is kept: {place.log}")
    else:
        shutil.rmtree(place.folder, ignore_errors=True)
    return tally


def _take_down(place: Place) -> None:
    if place.process is not None and place.process.poll() is None:
        with contextlib.suppress(Exception):
            place.stop()
        if place.process.poll() is None:
            place.kill_everything()


async def _all(options: Options, place: Place, tally: Tally) -> None:
    caller = Caller(place.url, tally)
    world = None
    try:
        scene = await set_up(caller, options.seed, shops=options.shops, buyers=options.buyers)
        world = World(options.seed, place, caller, scene, tally, options.at_once)
        print(f"  the market is open after {tally.seconds:.0f} s", flush=True)
        end = time.monotonic() + options.minutes * 60
        for first, count, kills in _bursts(options):
            if time.monotonic() > end:
                tally.found(
                    "out of time", f"{first} of {options.purchases} purchases in {options.minutes} minutes"
                )
                return
            await _burst(world, options, first, count, kills)
        await reached.count(world)
        if not tally.findings:
            await doubts.doubt(world)
    finally:
        await caller.close()
        if world is not None:
            await world.till.close()


def _bursts(options: Options) -> Iterator[tuple[int, int, int]]:
    """First story, number of stories, kills."""
    if options.only is not None:
        yield options.only, 1, 0
        return
    for first in range(0, options.purchases, options.burst):
        count = min(options.burst, options.purchases - first)
        last = first + count
        yield (
            first,
            count,
            options.kills * last // options.purchases - options.kills * first // options.purchases,
        )


async def _burst(world: World, options: Options, first: int, count: int, kills: int) -> None:
    began = time.monotonic()
    manner = await world.till.behave(options.seed, first)
    killer = Killer(world.place, world.tally)
    killing = asyncio.create_task(killer.carry_out(list(plan(options.seed, first, count, kills))))
    alive = asyncio.Semaphore(_ALIVE)
    tasks = set()
    for number in range(first, first + count):
        await alive.acquire()
        # A new story begins when there is a place to act, not before.
        await world.slots.acquire()
        killer.begun = number
        task = asyncio.create_task(_story(world, number))
        task.add_done_callback(lambda _: alive.release())
        tasks.add(task)
    killer.begun = first + count
    hastening = asyncio.create_task(quiet.hasten(world))
    await asyncio.gather(*tasks)
    await killing
    hastening.cancel()
    told = time.monotonic()
    await quiet.settle(world, seconds=240)
    await proofs.prove(world)
    await restock(world.scene)
    print(
        f"  stories {first} to {first + count - 1} (sandbox: {manner or 'well-behaved'}): told in {told - began:.0f} s, quiet and proven after "
        f"{time.monotonic() - told:.0f} s more; {len(world.tally.findings)} findings so far",
        flush=True,
    )


async def _story(world: World, number: int) -> None:
    """One story, in the place that was taken for it."""
    story = Story(world, number)
    try:
        trade = await buy(story)
        if trade is None:
            world.tally.stories["nothing to buy"] += 1
        elif await settle_payment(story, trade):
            await _courses(story, trade)
    except GiveUpError:
        pass
    except Exception as error:  # noqa: BLE001 - one story's end is not the run's
        story.found("story broke off", _words(error))
    finally:
        world.slots.release()


async def _courses(story: Story, trade: Any) -> None:
    """Its orders, each in a place of its own."""
    story.world.slots.release()
    try:
        async with asyncio.TaskGroup() as group:
            for order in trade["orders"]:
                group.create_task(_course(story, order))
    finally:
        await story.world.slots.acquire()


async def _course(story: Story, order: Any) -> None:
    course = Course(story, order)
    async with story.world.slots:
        await course.look()
        await fulfil(course)
        story.world.tally.orders[course.status] += 1


def _words(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{type(error).__name__}: {error} at {' > '.join(frames[-4:])}"
