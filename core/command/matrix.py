"""`jishi matrix ...`: how kinds of offers combine, by the same services as the platform routes, as the system itself."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from core.deployment import matrix
from core.deployment.runtime import Runtime
from core.deployment.schemas import MatrixKind, MatrixOut, MatrixPair, MatrixVersion
from core.kit.errors import Invalid
from core.types.matrix import MatrixEdits
from core.types.pricing import Relation
from core.types.scope import SYSTEM

_HEAD = ("phase", "kind", "priority", "group", "per shop", "per trade", "")
_WORDS = {
    Relation.STACK: "both apply",
    Relation.BEST: "the better of the two applies",
    Relation.BLOCK: "the one of the earlier phase, then of the higher priority, stays",
}
_REST = "Pairs that are not listed stack; of one kind the best applies, unless it is listed. * edited"


async def show(runtime: Runtime, *, edits: bool) -> str:
    """The table in words, or with `edits` only the edits as JSON, as `publish` takes them."""
    async with runtime.tx(SYSTEM) as tx:
        found = await matrix.current(tx, runtime)
    return msgspec.json.format(msgspec.json.encode(found.edits)).decode() if edits else text(found)


async def history(runtime: Runtime) -> str:
    """The newest versions, one line each."""
    async with runtime.tx(SYSTEM) as tx:
        page = await matrix.history(tx, 100, None)
    lines = [_title(v) for v in page.items]
    more = ["(and older ones)"] if page.next_cursor else []
    return "\n".join([*lines, *more]) or "Nothing was published: the plugins' own declarations hold."


async def check(runtime: Runtime, file: str) -> str:
    """Whether the edits in a file could be published. Raises `Invalid` with the faults."""
    edits = _read(file)
    async with runtime.tx(SYSTEM) as tx:
        known = (await matrix.current(tx, runtime)).edits
    matrix.refuse_faults(matrix.contradictions(runtime, edits, [known]))
    return "No contradictions."


async def publish(runtime: Runtime, file: str, note: str, version: int | None) -> str:
    """Publish the edits in a file. `version` is the newest that they were made from, by default the present one.

    Raises `Invalid` with the faults, `Conflict` when somebody was faster.
    """
    edits = _read(file)
    async with runtime.tx(SYSTEM) as tx:
        expected = version if version is not None else (await matrix.current(tx, runtime)).version
    done = await matrix.publish(runtime, edits, note, expected)
    return f"Version {done.version} counts from now on."


async def restore(runtime: Runtime, number: int, note: str) -> str:
    """Publish an old version's edits again."""
    async with runtime.tx(SYSTEM) as tx:
        expected = (await matrix.current(tx, runtime)).version
    done = await matrix.restore(runtime, number, note, expected)
    return f"Version {done.version} counts from now on, with the edits of version {number}."


def text(found: MatrixOut) -> str:
    """The matrix as people read it."""
    title = _title(MatrixVersion(found.version, found.note, found.by, found.at, found.edits))
    pairs = [line for pair in found.pairs if (line := _pair(pair))]
    parts = [title, "", *_table([_HEAD, *map(_row, found.kinds)]), "", *pairs, _REST]
    return "\n".join(parts)


def _title(version: MatrixVersion) -> str:
    if version.at is None:
        return "Version 0: as the plugins declare"
    who = (version.by.login or version.by.id) if version.by is not None else "the command line"
    return f"Version {version.version}, {version.at:%Y-%m-%d %H:%M} UTC, by {who}" + (
        f": {version.note}" if version.note else ""
    )


def _row(kind: MatrixKind) -> tuple[str, ...]:
    remarks = [kind.title, "*" if kind.edited else "", "" if kind.enabled else f"({kind.plugin} is off)"]
    return (
        kind.phase,
        kind.name,
        str(kind.priority),
        kind.group or "-",
        _limit(kind.per_shop),
        _limit(kind.per_trade),
        " ".join(filter(None, remarks)),
    )


def _limit(most: int | None) -> str:
    return "-" if most is None else str(most)


def _pair(pair: MatrixPair) -> str:
    """A line, or nothing for what goes without saying."""
    if pair.a == pair.b and pair.relation is Relation.BEST and not pair.edited:
        return ""
    sides = f"{pair.a} with itself" if pair.a == pair.b else f"{pair.a} with {pair.b}"
    return f"{sides}: {pair.relation}, {_WORDS[pair.relation]}{' *' if pair.edited else ''}"


def _table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    rows = list(rows)
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        yield "  ".join([*cells, row[-1]]).rstrip()


def _read(file: str) -> MatrixEdits:
    """Edits as JSON from a file, or from standard input for `-`. Raises `Invalid`."""
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return msgspec.json.decode(raw, type=MatrixEdits)
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Invalid(
            f'{file} holds no edits of the matrix, as `jishi matrix show --edits` writes them: {{"kinds": [...], '
            f'"pairs": [...]}}. {error}'
        ) from None
