"""The pages of docs/ that come from the code are complete and current."""

import ast
import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from core.identity import permissions
from core.kit.settings import Settings

ROOT = Path(__file__).parents[2]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_build"] = module
    spec.loader.exec_module(module)
    return module


build = _load()
HOOKS = build.hook_specs()
PLUGINS = build.builtins()
# Hooks whose tests do not carry their name; none is to be added.
USED_HOOKS = sorted({name for plugin in PLUGINS.values() for name in HOOKS if name in vars(plugin)})


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_described(name: str) -> None:
    assert inspect.getdoc(HOOKS[name])
    page = (ROOT / "docs/hooks.md").read_text()
    assert f"\n## {name}\n\n```python\nasync def {name}(tx: Tx, " in page


@pytest.mark.parametrize("name", USED_HOOKS)
def test_every_hook_that_a_plugin_uses_has_a_test_named_after_it(name: str) -> None:
    wanted = re.compile(rf"def test_\w*{name}")
    found = any(wanted.search(path.read_text()) for path in (ROOT / "tests").rglob("test_*.py"))
    assert found


def test_generated_pages_are_current() -> None:
    assert [path.name for path in build.stale()] == [], "run make docs"


def test_every_setting_has_a_description() -> None:
    assert set(build.SETTINGS) == {field.name for field in msgspec.structs.fields(Settings)}


def test_every_field_of_a_plugins_config_has_a_description() -> None:
    bare = [
        f"{name}.{field.name}"
        for name, plugin in PLUGINS.items()
        for field in msgspec.structs.fields(plugin.Config)
        if field.name not in build._remarks(plugin.Config)
        if f"`{field.name}`" not in (inspect.getdoc(plugin.Config) or "")
    ]
    assert bare == []


def test_every_permission_that_a_route_asks_for_is_declared() -> None:
    declared = {p.name for p in permissions.CORE} | {p.name for c in PLUGINS.values() for p in c.permissions}
    asked = {
        node.args[0].value
        for folder in ("core", "plugins")
        for path in (ROOT / folder).rglob("routes.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "permission"
        if isinstance(node.args[0], ast.Constant)
    }
    assert asked - declared == set()


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "README.zh.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []
