"""Counting statements."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from core.db.tx import Tx

_FRAME = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET LOCAL")


class Statements:
    """What all transactions of this process sent meanwhile. `sent` has everything, `sql` leaves out what only frames a
    transaction: BEGIN, COMMIT, savepoints."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    @property
    def sql(self) -> list[str]:
        """The statements themselves, in order."""
        return [text for text in self.sent if not text.lstrip().startswith(_FRAME)]

    def __len__(self) -> int:
        return len(self.sql)

    def __str__(self) -> str:
        return "\n".join(" ".join(text.split()) for text in self.sql)


@contextmanager
def statements() -> Iterator[Statements]:
    """Count the statements of a block: `with statements() as seen: ...; assert len(seen) <= 1, seen`."""
    seen, run = Statements(), Tx._run  # noqa: SLF001

    async def counted(self: Tx, method: str, sql: str, args: tuple[Any, ...]) -> Any:
        seen.sent.append(sql)
        return await run(self, method, sql, args)

    Tx._run = counted  # type: ignore[method-assign]  # noqa: SLF001
    try:
        yield seen
    finally:
        Tx._run = run  # type: ignore[method-assign]  # noqa: SLF001
