"""What the supervisor knows of the processes it has started."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from core.command.children import Child
from core.deployment.following import PROCESS

# Writes down under which id it is to be listed, and stays.
_PROGRAM = f"""
import os, sys, time
with open(sys.argv[1], "a") as file:
    print(os.environ["{PROCESS}"], file=file)
time.sleep(60)
"""


class Watched:
    """A child, the ids its processes were given, and those whose death was told."""

    def __init__(self, file: Path) -> None:
        self.file, self.dead = file, list[UUID]()
        self.child = Child("probe", [sys.executable, "-c", _PROGRAM, str(file)], {}, died=self.dead.append)

    def given(self, count: int) -> list[UUID]:
        """The ids, once there are so many."""
        until = time.monotonic() + 10
        while not self.file.exists() or len(words := self.file.read_text().split()) < count:
            assert time.monotonic() < until
            self.child.keep()
            time.sleep(0.01)
        return [UUID(word) for word in words]

    def kill(self) -> None:
        """kill -9 of the process there is."""
        assert self.child.process is not None
        self.child.process.kill()
        self.child.process.wait()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path / "ids")
    watched.child.start()
    yield watched
    watched.child.ask_to_stop()
    watched.child.wait(time.monotonic() + 5)


def test_a_death_is_told_at_the_next_look_and_the_next_process_has_an_id_of_its_own(watched: Watched) -> None:
    first = watched.given(1)
    watched.child.keep()
    assert watched.dead == []
    watched.kill()
    watched.child.keep()
    assert watched.dead == first
    second = watched.given(2)[1:]
    assert second != first
    assert watched.dead == first, "told once"


def test_a_process_that_is_replaced_is_told_too(watched: Watched) -> None:
    first = watched.given(1)
    for _ in watched.child.roll():
        time.sleep(0.01)
    assert watched.dead == first
    assert watched.given(2)[0] == first[0]
