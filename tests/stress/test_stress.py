"""The short form of `make stress`: a few stories, a few kills, the same proofs."""

import random

from tests.stress.run import Options, run

_SHORT = Options(seed=0, purchases=12, kills=2, burst=12, minutes=1, at_once=10, shops=3, buyers=4, pace=4)


def test_nothing_is_lost_or_paid_twice_whatever_is_killed() -> None:
    options = _SHORT._replace(seed=random.randrange(10**6))
    found = [str(finding) for finding in run(options).findings]
    assert not found, f"seed {options.seed}:\n" + "\n".join(found)
