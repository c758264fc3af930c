"""The import contracts of pyproject.toml: this tree keeps them, and each kind of violation is caught."""

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).with_name("lint-imports")

TOP = "Core knows no plugin"
HOST = "Nothing imports the host"
LAYERS = "Layers of core"
DOOR = "Plugins enter core by core.api only"
APART = "Plugins are independent of each other"
PURE = "Kit, types, pricing and core's rules do no I/O"
PURE_PLUGINS = "Rules of plugins do no I/O"

# What rules may not take from core.api: the ways to the database and the network.
IMPURE = {"Tx", "TxFactory", "columns", "metadata", "open_table", "protect"}

VIOLATIONS = [
    ("a lower layer importing a higher one", "core/cart/__init__.py", "import core.checkout", LAYERS),
    ("kit importing a domain", "core/kit/__init__.py", "from core.orders import service", LAYERS),
    ("web importing the worker", "core/web/__init__.py", "import core.worker", LAYERS),
    ("the embedded servers importing the database", "core/embedded/__init__.py", "import core.db", LAYERS),
    ("a module of core without a layer", "core/extra.py", "VALUE = 1", LAYERS),
    ("core importing a plugin", "core/web/__init__.py", "from plugins.alpha import plugin", TOP),
    ("core importing the host", "core/command/__init__.py", "import host", HOST),
    ("a plugin importing the host", "plugins/alpha/service.py", "from host import main", HOST),
    ("a command importing the test kit", "core/command/__init__.py", "import core.testkit", LAYERS),
    ("a plugin importing the test kit", "plugins/alpha/service.py", "import core.testkit", DOOR),
    ("a plugin importing core.db", "plugins/alpha/service.py", "from core.db import engine", DOOR),
    ("a plugin importing core.kit", "plugins/alpha/rules.py", "import core.kit", DOOR),
    ("a plugin importing another", "plugins/alpha/service.py", "from plugins.beta import plugin", APART),
    ("core's rules doing I/O", "core/ledger/rules.py", "import asyncpg", PURE),
    ("core's rules reaching the database", "core/ledger/rules.py", "from core.ledger import service", PURE),
    ("kit doing I/O", "core/kit/__init__.py", "import httpx", PURE),
    ("types doing I/O", "core/types/__init__.py", "from sqlalchemy import text", PURE),
    ("pricing doing I/O", "core/pricing/engine.py", "import redis.asyncio", PURE),
    ("the pricing engine loading", "core/pricing/engine.py", "from core.pricing import service", PURE),
    ("a plugin's rules doing I/O", "plugins/alpha/rules.py", "import httpx", PURE_PLUGINS),
    ("a plugin's rules reading", "plugins/alpha/rules.py", "import plugins.alpha.repository", PURE_PLUGINS),
]  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tiny project in the same shape and under the same contracts."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["name"] == LAYERS)
    for name in (name.strip() for layer in layers for name in layer.split("|")):
        write(tmp_path, f"core/{name}/__init__.py")
    write(tmp_path, "core/__init__.py")
    write(tmp_path, "core/db/engine.py", "import asyncpg")
    write(tmp_path, "core/pricing/engine.py", "import core.types")
    write(tmp_path, "core/pricing/service.py", "import asyncpg\nimport core.db, core.pricing.engine")
    write(tmp_path, "core/orders/service.py", "import core.db")
    write(tmp_path, "core/ledger/service.py", "import core.db.engine")
    write(tmp_path, "core/ledger/rules.py", "import core.kit")
    write(tmp_path, "core/api/__init__.py", "import core.hookspecs, core.db.engine")
    write(tmp_path, "plugins/__init__.py")
    for plugin in ("alpha", "beta"):
        write(tmp_path, f"plugins/{plugin}/__init__.py")
        write(
            tmp_path, f"plugins/{plugin}/plugin.py", f"import core.api\nfrom plugins.{plugin} import service"
        )
        write(tmp_path, f"plugins/{plugin}/service.py", f"from plugins.{plugin} import repository, rules")
        write(tmp_path, f"plugins/{plugin}/repository.py", "from core.api import Tx")
        write(tmp_path, f"plugins/{plugin}/rules.py", "from core.api import PriceRule")
    write(tmp_path, "host.py", "import core.command, plugins.alpha.plugin")
    return tmp_path


def write(tree: Path, name: str, text: str = "") -> None:
    """A file of the tree, or more lines at its end."""
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text + "\n")


def lint(folder: Path) -> tuple[int, list[str], str]:
    """Exit code, names of the broken contracts, output."""
    done = subprocess.run(
        [LINT, "--no-cache", "--no-logo"], cwd=folder, capture_output=True, text=True, timeout=60
    )
    broken = [line.partition(" BROKEN")[0] for line in done.stdout.splitlines() if " BROKEN" in line]
    return done.returncode, broken, done.stdout + done.stderr


def test_this_project_keeps_its_contracts() -> None:
    code, _, output = lint(ROOT)
    assert code == 0, output


def test_a_clean_tree_passes(tree: Path) -> None:
    code, broken, output = lint(tree)
    assert (code, broken) == (0, []), output


def test_imports_for_types_only_are_allowed(tree: Path) -> None:
    write(
        tree,
        "core/plugin/__init__.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import core.db",
    )
    code, _, output = lint(tree)
    assert code == 0, output


@pytest.mark.parametrize(
    ("file", "line", "contract"), [v[1:] for v in VIOLATIONS], ids=[v[0] for v in VIOLATIONS]
)
def test_a_violation_breaks_its_contract(tree: Path, file: str, line: str, contract: str) -> None:
    write(tree, file, line)
    code, broken, output = lint(tree)
    assert code == 1, output
    assert contract in broken, output


def test_rules_of_plugins_take_nothing_impure_from_the_door() -> None:
    faults = [
        f"{path.relative_to(ROOT)} takes {alias.name}"
        for path in sorted(ROOT.glob("plugins/*/rules.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "core.api"
        for alias in node.names
        if alias.name in IMPURE
    ]
    assert not faults
