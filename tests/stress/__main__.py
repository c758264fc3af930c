"""`python -m tests.stress`: thousands of random purchases while everything is being killed, then the proofs."""

import argparse
import random
import sys

from tests.stress.report import show
from tests.stress.run import Options, run


def main() -> int:
    """The exit code: 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="the same makes the same decisions"
    )
    parser.add_argument("--purchases", type=int, default=300)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--burst", type=int, default=1250, help="purchases between two rounds of proofs")
    parser.add_argument("--minutes", type=float, default=60, help="begin no further burst after so long")
    parser.add_argument("--story", type=int, default=None, help="tell only this one")
    given = parser.parse_args()
    options = Options(
        seed=given.seed,
        purchases=given.purchases,
        kills=given.kills,
        burst=given.burst,
        minutes=given.minutes,
        only=given.story,
    )
    print(f"stress: seed {options.seed}, {options.purchases} purchases, {options.kills} kills", flush=True)
    return show(run(options), options)


if __name__ == "__main__":
    sys.exit(main())
