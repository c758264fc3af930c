"""`jishi matrix`: the table in words, edits from a file, faults in words and exit code 1."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.command import matrix
from core.deployment.runtime import Runtime
from core.deployment.schemas import MatrixKind, MatrixOut, MatrixPair
from core.kit.errors import Conflict, Invalid
from core.types.matrix import MatrixEdits
from core.types.pricing import Relation
from tests.support.database import Database

ROOT = Path(__file__).parents[3]


@pytest.fixture
def file(tmp_path: Path) -> Any:
    """Writes edits and answers where."""

    def write(edits: Any) -> str:
        path = tmp_path / "edits.json"
        path.write_text(edits if isinstance(edits, str) else json.dumps(edits))
        return str(path)

    return write


async def test_edits_go_from_the_table_to_a_file_and_back(runtime: Runtime, file: Any) -> None:
    assert (await matrix.show(runtime, edits=False)).startswith("Version 0: as the plugins declare\n")
    assert "Nothing was published" in await matrix.history(runtime)
    edits = {
        "kinds": [{"name": "coupons.shop", "priority": 5, "per_shop": 2}],
        "pairs": [{"a": "coupons.shop", "b": "coupons.market", "relation": "block"}],
    }
    assert await matrix.check(runtime, file(edits)) == "No contradictions."
    done = await matrix.publish(runtime, file(edits), "one coupon only", None)
    assert done == "Version 1 counts from now on."
    text = await matrix.show(runtime, edits=False)
    lines = text.splitlines()
    assert lines[0].startswith("Version 1, ")
    assert lines[0].endswith(" UTC, by the command line: one coupon only")
    assert lines[2].split() == ["phase", "kind", "priority", "group", "per", "shop", "per", "trade"]
    row = next(line for line in lines if "coupons.shop " in line and "with" not in line)
    assert row.split()[:3] == ["shop_coupon", "coupons.shop", "5"]
    assert row.endswith(" *")
    assert (
        "coupons.market with coupons.shop: block, the one of the earlier phase, then of the higher priority, stays *"
        in lines
    )
    assert json.loads(await matrix.show(runtime, edits=True)) == edits
    assert await matrix.restore(runtime, 0, "") == (
        "Version 2 counts from now on, with the edits of version 0."
    )
    history = (await matrix.history(runtime)).splitlines()
    assert [line.split(",")[0] for line in history] == ["Version 2", "Version 1"]
    assert history[0].endswith(": Version 0 again.")
    with pytest.raises(Conflict, match="version 2 is the newest, not 1"):
        await matrix.publish(runtime, file(edits), "", 1)


async def test_what_cannot_be_published_is_said_in_words(runtime: Runtime, file: Any) -> None:
    with pytest.raises(Invalid, match="cannot be read: No such file"):
        await matrix.check(runtime, "/nowhere/edits.json")
    for rubbish in ("{", "[]", '{"kinds": [{"name": 1}]}', '{"pears": []}'):
        with pytest.raises(Invalid, match="holds no edits of the matrix"):
            await matrix.check(runtime, file(rubbish))
    with pytest.raises(Invalid) as refused:
        await matrix.check(runtime, file({"kinds": [{"name": "nobody"}]}))
    assert refused.value.code == "matrix_contradicts"


def test_the_table_says_what_counts_and_leaves_out_what_goes_without_saying() -> None:
    kind = MatrixKind(
        "a.sale", "a", "Sale", "points", -2, "g", None, 3, per_line=False, edited=True, enabled=False
    )
    pairs = (
        MatrixPair("a.sale", "a.sale", Relation.BEST, edited=False),
        MatrixPair("a.sale", "b.gone", Relation.STACK, edited=True),
        MatrixPair("c", "c", Relation.STACK, edited=False),
    )
    out = MatrixOut(version=0, note="", by=None, at=None, kinds=(kind,), pairs=pairs, edits=MatrixEdits())
    assert matrix.text(out).splitlines() == [
        "Version 0: as the plugins declare",
        "",
        "phase   kind    priority  group  per shop  per trade",
        "points  a.sale  -2        g      -         3          Sale * (a is off)",
        "",
        "a.sale with b.gone: stack, both apply *",
        "c with itself: stack, both apply",
        matrix._REST,
    ]


@pytest.fixture
def environ(database: Database, tmp_path: Path) -> dict[str, str]:
    """The environment of a command beside the servers of the tests."""
    secret = tmp_path / "secret"
    secret.write_text("0f" * 64)
    secret.chmod(0o600)
    own = {
        "JISHI_DATABASE_URL": database.owner_url,
        "JISHI_APP_DATABASE_URL": database.app_url,
        "JISHI_REDIS_URL": database.redis_url,
        "JISHI_SECRET_FILE": str(secret),
        "JISHI_DATA": str(tmp_path / "data"),
    }
    return {**os.environ, **own}


def _jishi(environ: dict[str, str], *words: str, sent: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "host.py"), "matrix", *words],
        env=environ,
        input=sent,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_reads_standard_input_and_exits_with_1_on_faults(environ: dict[str, str]) -> None:
    edits = {"pairs": [{"a": "coupons.shop", "b": "coupons.shop", "relation": "block"}]}
    refused = _jishi(environ, "publish", "-", "--note", "x", sent=json.dumps(edits))
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert (
        "\n  edits.pairs[0].relation: Two offers of the kind coupons.shop block each other" in refused.stderr
    )
    good = _jishi(environ, "publish", "-", "--note", "x", sent="{}")
    assert (good.returncode, good.stdout) == (0, "Version 1 counts from now on.\n"), good.stderr
    shown = _jishi(environ, "show")
    assert shown.returncode == 0
    assert "coupons.shop" in shown.stdout
