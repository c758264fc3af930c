"""What a run counts, and what it finds wrong."""

import time
from collections import Counter
from typing import NamedTuple


class Finding(NamedTuple):
    """Something that must not be: which rule it breaks, where, and the story it happened in (None: nobody's)."""

    rule: str
    detail: str
    story: int | None = None

    def __str__(self) -> str:
        where = "" if self.story is None else f" [story {self.story}]"
        return f"{self.rule}{where}: {self.detail}"


# Of one sort; a thousand of the same tell nothing more.
_MOST = 6


class Tally:
    """Counters and findings of a run."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.stories, self.orders, self.kills = Counter[str](), Counter[str](), Counter[str]()
        self.cases, self.refunds = Counter[str](), Counter[str]()
        self.requests, self.refusals, self.repeats = Counter[str](), Counter[str](), Counter[str]()
        self.reached = Counter[str]()
        self.proven: list[str] = []
        # Proofs for which there was nothing to damage, so that it is not known whether they are awake.
        self.untried: list[str] = []
        self.findings: list[Finding] = []
        self._sorts = Counter[str]()

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.began

    def found(self, rule: str, detail: str, story: int | None = None) -> None:
        """Something is wrong."""
        self._sorts[rule] += 1
        if self._sorts[rule] <= _MOST:
            self.findings.append(Finding(rule, detail, story))
            print(f"  FOUND {str(self.findings[-1])[:200]}", flush=True)

    @property
    def sorts(self) -> Counter[str]:
        """How often each rule was broken."""
        return self._sorts
