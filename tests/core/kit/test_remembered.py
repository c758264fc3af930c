"""Values remembered for some seconds."""

from collections.abc import Mapping, Sequence

from core.kit.remembered import Remembered


class Source:
    """Answers for even numbers, and counts."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    async def read(self, keys: Sequence[int]) -> Mapping[int, str]:
        self.asked.append(list(keys))
        return {key: f"{key}.{len(self.asked)}" for key in keys if key % 2 == 0}


async def test_each_key_is_asked_for_once_in_its_time_also_one_without_a_value() -> None:
    now, source = [0.0], Source()
    kept: Remembered[int, str] = Remembered(5.0, clock=lambda: now[0])
    now[0] = 100.0
    assert await kept.of([1, 2], source.read) == {2: "2.1"}
    assert await kept.of([1, 2, 4], source.read) == {2: "2.1", 4: "4.2"}
    now[0] = 105.0
    assert await kept.of([1, 2], source.read) == {2: "2.3"}
    assert source.asked == [[1, 2], [4], [1, 2]]


async def test_what_changes_is_asked_for_again_also_while_it_is_read() -> None:
    source = Source()
    kept: Remembered[int, str] = Remembered()
    await kept.of([2], source.read)
    kept.forget(2)
    assert await kept.of([2], source.read) == {2: "2.2"}

    async def read(keys: Sequence[int]) -> Mapping[int, str]:
        kept.forget(4)
        return await source.read(keys)

    assert await kept.of([4], read) == {4: "4.3"}
    assert await kept.of([4], source.read) == {4: "4.4"}


async def test_there_is_room_for_so_many() -> None:
    source = Source()
    kept: Remembered[int, str] = Remembered(most=3)
    for first in range(0, 12, 2):
        await kept.of([first, first + 1], source.read)
        assert len(kept) <= 3
    await kept.of(range(100, 109), source.read)
    assert len(kept) == 3
