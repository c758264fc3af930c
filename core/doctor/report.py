"""What the doctor found."""

from enum import StrEnum

import msgspec


class Status(StrEnum):
    """`warning`: it works, but not for ever or not safely. `failing`: something is wrong now."""

    OK = "ok"
    WARNING = "warning"
    FAILING = "failing"


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. `detail` is a sentence; `mend` says what to do, empty when all is well."""

    check: str
    status: Status
    detail: str
    mend: str = ""


class Report(msgspec.Struct, frozen=True):
    """All findings in the order of the checks; `status` is the worst of them."""

    status: Status
    findings: tuple[Finding, ...]


_ORDER = (Status.OK, Status.WARNING, Status.FAILING)


def report(findings: list[Finding]) -> Report:
    """The findings with the worst status."""
    return Report(max((f.status for f in findings), key=_ORDER.index, default=Status.OK), tuple(findings))


def ok(check: str, detail: str) -> Finding:
    """All is well."""
    return Finding(check, Status.OK, detail)


def warning(check: str, detail: str, mend: str) -> Finding:
    """Works, but."""
    return Finding(check, Status.WARNING, detail, mend)


def failing(check: str, detail: str, mend: str) -> Finding:
    """Wrong now."""
    return Finding(check, Status.FAILING, detail, mend)


def listed(names: list[str], most: int = 8) -> str:
    """Names for a sentence, the first few."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
