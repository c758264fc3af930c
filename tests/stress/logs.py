"""What the deployment said in its log."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

# Errors that are meant, by what the line says, and why.
ALLOWED = {
    "paying_not_answered": "the test's own plugin fails for some orders at first",
    "the database is away; the delivery will be sent again": "the database was killed",
}
# Exceptions that tell of a server that was killed.
_KILLED = (
    "ConnectionDoesNotExistError",
    "CannotConnectNowError",
    "ConnectionRefusedError",
    "ConnectionResetError",
    "CrashShutdownError",
    "AdminShutdownError",
)


def complaints(log: Path) -> list[str]:
    """Errors, warnings with a traceback, and what is no line of a log at all; each sort once, with how often it came."""
    found = Counter[str]()
    first: dict[str, str] = {}
    for said in _pieces(log.read_text(errors="replace").splitlines()):
        sort = _sort(said)
        if sort:
            found[sort] += 1
            first.setdefault(sort, said)
    return [f"{n} x {sort}: {first[sort][-1500:]}" for sort, n in found.items()]


def _pieces(lines: list[str]) -> Iterator[str]:
    """Lines of JSON, and all that stands together between two of them."""
    loose: list[str] = []
    for line in lines:
        if line.startswith("{"):
            if loose:
                yield "\n".join(loose)
                loose = []
            yield line
        else:
            loose.append(line)
    yield "\n".join(loose)


def _sort(said: str) -> str:
    """What it complains of; empty for nothing."""
    if "deadlock detected" in said:
        return "deadlock"
    if not said.startswith("{"):
        bad = "Traceback" in said or "never retrieved" in said or "never awaited" in said
        return said.strip().splitlines()[-1][:300] if bad and not _is_killed(said) else ""
    try:
        line: dict[str, Any] = msgspec.json.decode(said)
    except msgspec.DecodeError:
        return ""
    level, event, trace = line.get("level"), str(line.get("event", "")), str(line.get("exception", ""))
    if level not in ("error", "critical") and not (level == "warning" and trace):
        return ""
    if event in ALLOWED or (trace and _is_killed(trace)):
        return ""
    return f"{level} {event} {trace.strip().splitlines()[-1] if trace else ''}".strip()[:300]


def _is_killed(trace: str) -> bool:
    return any(name in trace for name in _KILLED)
