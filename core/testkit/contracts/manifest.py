"""What a plugin says of itself, and its registration in any company."""

import inspect
import random
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

import msgspec

from core import hookspecs
from core.hooks import Kind, event_payload
from core.identity.permissions import CORE
from core.plugin import Plugin, Snapshot, check
from core.testkit.contracts.subject import Subject

_OPTIONS = ("tryfirst", "trylast", "wrapper", "hookwrapper", "optionalhook")
_SHUFFLES = 5
AUDIENCES = ("shop", "merchant", "platform")


async def fits(subject: Subject) -> list[str]:
    """No clash with another plugin: names, tables, routes, permissions, events, rule kinds."""
    check(subject.classes.values())
    return []


async def alone(subject: Subject) -> list[str]:
    """It works with what it requires and nothing else."""
    missing = [r for c in subject.needed().values() for r in c.requires if r not in subject.classes]
    if missing:
        return [
            f"{subject.name} requires {', '.join(missing)}, which is not installed; install it, or drop it from `requires`."
        ]
    subject.snapshot(subject.needed())
    return []


async def absent(subject: Subject) -> list[str]:
    """The others work without it."""
    subject.snapshot(subject.others())
    return []


async def any_order(subject: Subject) -> list[str]:
    """The same hooks, rule kinds and providers in whatever order plugins are registered."""
    names = sorted(subject.classes)
    want = _seen(subject.snapshot({n: subject.classes[n] for n in names}))
    for seed in range(_SHUFFLES):
        random.Random(seed).shuffle(names)  # noqa: S311 -- any order will do
        have = _seen(subject.snapshot({n: subject.classes[n] for n in names}))
        changed = sorted(k for k in want.keys() | have.keys() if want.get(k) != have.get(k))
        if changed:
            order, what = ", ".join(names), ", ".join(changed)
            return [
                f"Registered as {order}: {what} differ; an instance must depend on nothing but its config."
            ]
    return []


def _seen(snapshot: Snapshot) -> dict[str, Any]:
    specs = {name: snapshot.hooks.of(spec) for name, spec in snapshot.hooks.specs.items()}
    found: dict[str, Any] = {f"hook {name}": [p for p, _ in impls] for name, impls in specs.items()}
    for plugin in snapshot.active.values():
        found[f"what {plugin.name} declares"] = (
            plugin.rule_kinds,
            sorted(map(str, plugin.rule_pairs.items())),
            sorted(plugin.benefits()),
            sorted(plugin.timers),
            sorted(plugin.cycles),
            plugin.commission_provider() is not None,
        )
    return found


async def no_pluggy_options(subject: Subject) -> list[str]:
    """No implementation asks pluggy for a place in the order."""
    return [
        f"{subject.name}.{name} uses {option}; order comes from phases and names."
        for name, function in implementations(subject.cls).items()
        for option in _OPTIONS
        if (getattr(function, "jishi_impl", None) or {}).get(option)
    ]


def implementations(cls: type[Plugin]) -> dict[str, Callable[..., Any]]:
    """Its hooks, by name."""
    return {n: f for n in dir(cls) if hasattr(f := getattr(cls, n), "jishi_impl")}


async def config(subject: Subject) -> list[str]:
    """Every field has a default and a description, and the schema can be shown to the operator."""
    found, kind = [], subject.cls.Config
    for field in msgspec.structs.fields(kind):
        if field.required:
            found.append(
                f"{kind.__name__}.{field.name} has no default; a plugin must work as it is switched on."
            )
        if not _described(kind, field.name):
            found.append(f"{kind.__name__}.{field.name} is not described; put a comment right above it.")
    try:
        msgspec.json.schema(kind)
    except TypeError as error:
        found.append(f"{kind.__name__} has no JSON schema: {error}.")
    if not kind.__struct_config__.forbid_unknown_fields:
        found.append(
            f"{kind.__name__} takes any field; declare it with forbid_unknown_fields=True, so that typing errors show."
        )
    return found


def _described(kind: type[msgspec.Struct], name: str) -> bool:
    """By `Meta(description=...)`, by a comment right above, or by name in the docstring."""
    hint = inspect.get_annotations(kind, eval_str=True).get(name)
    if any(isinstance(m, msgspec.Meta) and m.description for m in getattr(hint, "__metadata__", ())):
        return True
    above = re.search(rf"#[^\n]+\n\s*{name}\s*:", inspect.getsource(kind))
    return above is not None or f"`{name}`" in (inspect.getdoc(kind) or "")


async def permissions(subject: Subject) -> list[str]:
    """Every permission belongs to a route of its audience, and every route's permission is declared."""
    own = {(p.audience, p.name) for p in subject.cls.permissions}
    known = own | {(p.audience, p.name) for p in CORE}
    asked = {
        (audience, h.opt["permission"]) for audience, h in handlers(subject.cls) if "permission" in h.opt
    }
    found = [
        f"Permission {name} of {audience} staff is declared, but no {audience} route asks for it."
        for audience, name in sorted(own - asked)
    ]
    found += [
        f"A {audience} route asks for {name}, which is not among the permissions of {audience} staff; declare it."
        for audience, name in sorted(asked - known)
    ]
    found += [
        f"Permission {name} must be called {subject.name}.<verb>."
        for _, name in sorted(own)
        if not name.startswith(f"{subject.name}.")
    ]
    return found


def handlers(cls: type[Plugin]) -> list[tuple[str, Any]]:
    """(audience, route handler) of all routes."""
    return [(audience, handler) for audience in AUDIENCES for handler in getattr(cls, f"{audience}_routes")]


async def events(subject: Subject) -> list[str]:
    """Its events are effects whose payloads come back from JSON as they went in."""
    found = []
    for name, spec in subject.cls.events.items():
        if getattr(spec, "jishi_kind", None) is not Kind.EFFECT:
            found.append(f"Event {name} is no effect; mark its function with @effect.")
            continue
        if not inspect.getdoc(spec):
            found.append(f"Event {name} is not described; its docstring says when it happens.")
        if fault := _lossy(event_payload(spec)):
            found.append(f"The payload of event {name} {fault}")
    return found


def _lossy(kind: Any) -> str | None:
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return "is no msgspec.Struct."
    try:
        sample = _sample(kind)
        if msgspec.json.decode(msgspec.json.encode(sample), type=kind) == sample:
            return None
    except Exception as error:  # noqa: BLE001 -- whatever it is, the payload cannot be stored
        return f"does not survive being stored: {type(error).__name__}: {error}"
    return "does not come back as it was stored."


_SAMPLES: Mapping[Any, Any] = {
    int: 1,
    str: "x",
    bool: True,
    float: 1.5,
    bytes: b"x",
    UUID: UUID(int=1),
    Decimal: Decimal(1),
    datetime: datetime(2026, 1, 1, tzinfo=UTC),
    date: date(2026, 1, 1),
    timedelta: timedelta(days=1),
    type(None): None,
    Any: None,
}


def _sample(kind: Any) -> Any:
    """Some value of a type."""
    if kind in _SAMPLES:
        return _SAMPLES[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = inspect.get_annotations(kind, eval_str=True)
        return kind(**{f.name: _sample(hints.get(f.name, f.type)) for f in msgspec.structs.fields(kind)})
    origin, args = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if origin is Literal:
        return args[0]
    if hasattr(kind, "__metadata__") or origin in (Union, UnionType):
        return _sample(args[0])
    if origin in (tuple, list, set, frozenset) and args:
        return origin([_sample(args[0])])
    if origin is None and kind not in (tuple, list, set, frozenset, dict):
        raise TypeError(f"{kind} cannot be stored")
    return (origin or kind)()


async def hooks_described(subject: Subject) -> list[str]:
    """Every implementation says what it does."""
    return [
        f"{subject.name}.{name} has no docstring."
        for name, function in implementations(subject.cls).items()
        if not function.__doc__
    ]


async def hooks_tested(subject: Subject) -> list[str]:
    """Every implemented hook has a test named after it, if the folder of tests is known."""
    if subject.tests is None:
        return []
    text = "\n".join(path.read_text() for path in _tests(subject))
    return [
        f"No test is named after {name}; call one test_..._{name}_... in {subject.tests}."
        for name in implementations(subject.cls)
        if hasattr(hookspecs, name) and not re.search(rf"def test_\w*{name}", text)
    ]


def _tests(subject: Subject) -> Iterable[Any]:
    assert subject.tests is not None
    return subject.tests.rglob("test_*.py")
