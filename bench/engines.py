"""Servers of a measurement's own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.embedded import Engines, Urls


@contextmanager
def temporary() -> Iterator[tuple[Urls, Path]]:
    """Engines on a temporary folder, whose data is in `data` below it; all gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="jishi-bench-"))
    folder.chmod(0o755)
    engines = Engines(folder / "data")
    try:
        yield engines.start(), folder
    finally:
        engines.stop()
        shutil.rmtree(folder, ignore_errors=True)


def postgres_of(folder: Path) -> int:
    """The process id of their PostgreSQL."""
    return int((folder / "data" / "pg" / "postmaster.pid").read_text().split()[0])
