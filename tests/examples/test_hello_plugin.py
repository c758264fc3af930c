"""The example is found, fits, and does what the README says."""

import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core import hookspecs
from core.kit.ids import new_id
from core.plugin import Plugin, PluginError, Snapshot, build, discover
from core.pricing.engine import quote
from core.types.pricing import Basket, BasketLine

EXAMPLE = Path(__file__).parents[2] / "examples" / "hello_plugin"


@pytest.fixture
def classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, type[Plugin]]:
    """All plugins as they are found once the example is installed."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["jishi.plugins"]
    lines = ["[jishi.plugins]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLE)
    return discover()


def snapshot(classes: dict[str, type[Plugin]], config: dict[str, Any]) -> Snapshot:
    return build(classes, hookspecs, generation=1, enabled={"round_off": config}, winding_down={})


async def payable(found: Snapshot, *prices: int) -> int:
    lines = tuple(BasketLine(str(n), new_id(), new_id(), new_id(), 1, p) for n, p in enumerate(prices))
    basket = Basket(lines, None, datetime.now(UTC))
    tx: Any = None
    rules = [rule for _, impl in found.hooks.of(hookspecs.price_rules) for rule in await impl(tx, basket)]
    priced = quote(basket, rules, [], found.matrix)
    for line in (line for shop in priced.merchants for line in shop.lines):
        assert all(a.bearer.merchant == 0 for a in line.adjustments)
    return priced.goods_amount - priced.discount_amount


async def test_it_is_found_by_its_entry_point_and_rounds_down(classes: dict[str, type[Plugin]]) -> None:
    found = snapshot(classes, {})
    assert await payable(found, 1234, 1111) == 2300
    assert await payable(found, 1200, 1100) == 2300
    assert await payable(found, 99) == 99


async def test_it_follows_its_config(classes: dict[str, type[Plugin]]) -> None:
    assert await payable(snapshot(classes, {"unit": 1000}), 1234, 1111) == 2000


def test_its_config_is_checked(classes: dict[str, type[Plugin]]) -> None:
    with pytest.raises(PluginError, match="unit"):
        snapshot(classes, {"unit": 3})


def test_its_own_tests_pass_as_an_integrator_runs_them() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(EXAMPLE)],
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"2\d passed", done.stdout), done.stdout


def test_it_enters_core_by_the_door_only() -> None:
    imports = [line for line in (EXAMPLE / "hello_plugin.py").read_text().splitlines() if "import " in line]
    assert all(not line.startswith(("from core", "import core")) or "core.api" in line for line in imports)
