"""What a plugin is: a subclass of `Plugin` whose attributes are its manifest and whose marked methods are its hooks.

`Snapshot` is what one request or task sees of the plugins: frozen, replaced whole when the operator changes anything.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from importlib.metadata import entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar
from uuid import UUID

import msgspec

from core import hooks as hooking
from core.hooks import HookError, Hooks, wants
from core.types.benefits import BenefitProvider
from core.types.matrix import NO_EDITS, MatrixEdits, Pair, faults, merged, pair_of
from core.types.orders import CommissionBase, CommissionTerms
from core.types.pricing import Matrix, Relation, RuleKind

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from core.db.outside import Outside
    from core.db.tx import Tx
    from core.types.demo import Demo

API_VERSION = 1
_NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")
C = TypeVar("C", bound=msgspec.Struct)

TimerHandler = Callable[["Tx", msgspec.Raw], Awaitable[None]]
OutboundHandler = Callable[["Outside", UUID, msgspec.Raw], Awaitable[msgspec.Struct | None]]
OutboundDone = Callable[["Tx", UUID, msgspec.Raw, Any], Awaitable[None]]


class PluginError(Exception):
    """The installed plugins do not fit together; each line names the plugins and says what to change."""


class NoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plugin without settings."""


class Permission(msgspec.Struct, frozen=True):
    """Something staff may do: `name` is `<owner>.<verb>`, `roles` get it unless the operator says otherwise."""

    name: str
    audience: str
    title: str
    roles: tuple[str, ...] = ()


class Cycle(msgspec.Struct, frozen=True):
    """Something to be done again and again: `run` is called once in each span of `every` (from one second), in the system
    scope, in a worker; also of a plugin that is switched off. Spans that passed while no worker ran are not made up for."""

    every: timedelta
    run: Callable[["Tx"], Awaitable[None]]


class Outbound(msgspec.Struct, frozen=True):
    """A call to the outside that an effect or guard asks for with `tx.outbound`.

    `call` gets the idempotency key, the same in every try, and the payload; no transaction is open and it may run more than
    once, so the key must reach the peer. Raise to have it tried again. Its answer is stored and handed to `done`, which
    runs in the transaction that marks the call as done, in the scope that was given.
    """

    call: OutboundHandler
    done: OutboundDone | None = None


class CommissionProvider(Protocol):
    """Reckons the market's commission on an order; pure, called at placement and frozen there."""

    def commission(self, base: CommissionBase) -> CommissionTerms:
        """The fee in fen and the rule it came from."""


class Plugin:
    """Base of all plugins.

    Class attributes are the manifest; an instance holds its validated `config`, so there are no globals. Methods marked
    with `@hookimpl` implement hooks. Route handlers stand under `/api/<audience>/<name>/`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    version: ClassVar[str] = "0.1.0"
    api_version: ClassVar[int] = API_VERSION
    requires: ClassVar[tuple[str, ...]] = ()
    Config: ClassVar[type[msgspec.Struct]] = NoConfig

    metadata: ClassVar["MetaData | None"] = None
    migrations: ClassVar[str | None] = None
    shop_routes: ClassVar[Sequence[Any]] = ()
    merchant_routes: ClassVar[Sequence[Any]] = ()
    platform_routes: ClassVar[Sequence[Any]] = ()
    permissions: ClassVar[tuple[Permission, ...]] = ()
    events: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    timers: ClassVar[Mapping[str, TimerHandler]] = {}
    cycles: ClassVar[Mapping[str, Cycle]] = {}
    outbound: ClassVar[Mapping[str, Outbound]] = {}
    rule_kinds: ClassVar[tuple[RuleKind, ...]] = ()
    rule_pairs: ClassVar[Mapping[tuple[str, str], Relation]] = {}

    def __init__(self, config: msgspec.Struct | None = None) -> None:
        self.config = config if config is not None else self.Config()

    def benefits(self) -> Mapping[str, BenefitProvider]:
        """What this plugin hands out for others, by key: `<plugin>` or `<plugin>.<sort>`."""
        return {}

    def commission_provider(self) -> CommissionProvider | None:
        """The market commission, if this plugin is the one that reckons it."""
        return None

    async def open_business(self, tx: "Tx") -> Mapping[str, int]:  # noqa: ARG002
        """What this plugin still owes when it is switched off, counted by sort; deliveries and timers are counted anyway.
        Reads only, over all accounts and merchants. It may not be purged while any count is above zero."""
        return {}

    async def demo(self, tx: "Tx", market: "Demo") -> None:
        """Add what shows this plugin at work to the demo market, once, when the market is first filled and the plugin is on.

        In the system scope, in one transaction with the demos of all plugins: all of it happens or none. It should be seen
        without changing what goods cost that nobody chose it for, so keep to a few of them. Raise to have the start fail.
        """


class Snapshot:
    """The plugins as one generation sees them: `active` are switched on, `installed` also those that only wind down, and
    `quarantined` those of which nothing runs. `edits` is how the operator has changed the combining of their rules."""

    def __init__(
        self,
        generation: int,
        active: Sequence[Plugin],
        installed: Sequence[Plugin],
        specs: ModuleType,
        edits: MatrixEdits = NO_EDITS,
        quarantined: Mapping[str, type[Plugin]] | None = None,
    ) -> None:
        self.generation = generation
        self.edits = edits
        self.quarantined = quarantined or {}
        self.active = {p.name: p for p in sorted(active, key=lambda p: p.name)}
        self.installed = {p.name: p for p in sorted(installed, key=lambda p: p.name)}
        self.hooks: Hooks = _freeze(specs, self.active.values(), self.installed.values())
        self._configs = {type(p.config): p.config for p in self.installed.values()}

    def config(self, kind: type[C]) -> C:
        """The validated config of the plugin whose `Config` is `kind`."""
        return self._configs[kind]  # type: ignore[return-value]

    @cached_property
    def matrix(self) -> Matrix:
        """All rule kinds and how they combine, with the operator's edits."""
        return self.combined(self.edits)

    def combined(self, edits: MatrixEdits) -> Matrix:
        """The same with these edits instead."""
        return merged(*declared(self.active.values()), edits)

    @cached_property
    def commission(self) -> CommissionProvider | None:
        """The one active market commission, None when no plugin reckons any."""
        return next((c for p in self.active.values() if (c := p.commission_provider()) is not None), None)

    def absent(self, spec: Callable[..., Any], contributors: Collection[str] | None = None) -> list[str]:
        """Names of the quarantined plugins that implement the hook `spec`: they will have to be told once they are back.
        With `contributors` those that are asked about an order in which these had a part (`Hooks.about`)."""
        hook = spec.__name__
        found = [(n, getattr(cls, hook)) for n, cls in self.quarantined.items() if hasattr(cls, hook)]
        return sorted(n for n, guard in found if wants(guard, n, contributors))

    def benefit(self, key: str) -> BenefitProvider | None:
        """The benefit provider under `key`; also of a plugin that is switched off, which still takes back. None when there
        is none."""
        found = self.installed.get(key.partition(".")[0])
        return found.benefits().get(key) if found is not None else None

    def timer(self, plugin: str, name: str) -> TimerHandler | None:
        """The handler of a plugin's timer or cycle; also of a plugin that is switched off."""
        found = self.installed.get(plugin)
        if found is None or name not in found.cycles:
            return found.timers.get(name) if found else None
        run = found.cycles[name].run
        return lambda tx, _: run(tx)


def _freeze(specs: ModuleType, active: Iterable[Plugin], installed: Iterable[Plugin]) -> Hooks:
    extra = {name: spec for p in installed for name, spec in p.events.items()}
    try:
        return hooking.freeze(specs, extra, active, installed)
    except HookError as error:
        raise PluginError(str(error)) from None


def discover() -> dict[str, type[Plugin]]:
    """All installed plugin classes by name, from the entry-point group `jishi.plugins`. Raises `PluginError`."""
    found: dict[str, type[Plugin]] = {}
    faults = []
    for entry in sorted(entry_points(group="jishi.plugins"), key=lambda e: e.name):
        loaded = entry.load()
        if not (isinstance(loaded, type) and issubclass(loaded, Plugin)):
            faults.append(f"Entry point {entry.name} ({entry.value}) is not a Plugin subclass.")
        elif loaded.name in found:
            faults.append(
                f"Two plugins are called {loaded.name}: {found[loaded.name].__module__} and {loaded.__module__}."
            )
        else:
            found[loaded.name] = loaded
    if faults:
        raise PluginError("\n".join(faults))
    check(found.values())
    return found


def declared(
    plugins: Iterable[Plugin | type[Plugin]],
) -> tuple[dict[str, RuleKind], dict[Pair, Relation]]:
    """The rule kinds of these plugins and how pairs of them combine, as they declare it."""
    kinds: dict[str, RuleKind] = {}
    pairs: dict[Pair, Relation] = {}
    for plugin in sorted(plugins, key=lambda p: p.name):
        kinds |= {kind.name: kind for kind in plugin.rule_kinds}
        pairs |= {pair_of(*pair): relation for pair, relation in plugin.rule_pairs.items()}
    return kinds, pairs


def check(classes: Iterable[type[Plugin]]) -> None:
    """Find every clash among plugins and name both owners. Raises `PluginError` with one line for each."""
    found: list[str] = []
    owners: dict[tuple[str, str], str] = {}
    classes = list(classes)
    for cls in classes:
        if not _NAME.fullmatch(cls.name):
            found.append(
                f"Plugin name {cls.name!r} must be 2 to 31 of a-z, 0-9 and _, starting with a letter."
            )
        if cls.api_version != API_VERSION:
            found.append(
                f"Plugin {cls.name} speaks api version {cls.api_version}; this core speaks {API_VERSION}."
            )
        for sort, name in _contributions(cls):
            other = owners.setdefault((sort, name), cls.name)
            if other != cls.name:
                found.append(
                    f"{sort.capitalize()} {name} is declared by both {other} and {cls.name}; rename one."
                )
        tables = cls.metadata.tables if cls.metadata is not None else ()
        found += [
            f"Table {t} of plugin {cls.name} must be called {cls.name}_..."
            for t in tables
            if not t.startswith(cls.name + "_") and t != cls.name
        ]
    found += _contradictions(classes)
    if found:
        raise PluginError("\n".join(found))


def _contradictions(classes: Sequence[type[Plugin]]) -> Iterable[str]:
    """What plugins declare of their rule kinds that can never come true, by the same rules as for the operator's edits."""
    said: dict[Pair, tuple[Relation, str]] = {}
    for cls in classes:
        for (a, b), relation in cls.rule_pairs.items():
            before, other = said.setdefault(pair_of(a, b), (relation, cls.name))
            if before is not relation:
                yield f"{a} and {b} are {before} as plugin {other} declares and {relation} as {cls.name}; keep one."
    owners = {kind.name: cls.name for cls in classes for kind in cls.rule_kinds}
    for fault in faults(*declared(classes)):
        pair = pair_of(fault.kinds[0], fault.kinds[-1])
        names = {owners[kind] for kind in fault.kinds} | ({said[pair][1]} if pair in said else set())
        yield f"Rule kinds of {' and '.join(sorted(names))}: {fault.detail}"


def _contributions(cls: type[Plugin]) -> Iterable[tuple[str, str]]:
    yield from (("table", t) for t in (cls.metadata.tables if cls.metadata is not None else ()))
    yield from (("permission", p.name) for p in cls.permissions)
    yield from (("event", e) for e in cls.events)
    yield from (("rule kind", k.name) for k in cls.rule_kinds)
    yield from (("timer", f"{cls.name}.{name}") for name in (*cls.timers, *cls.cycles))
    for audience in ("shop", "merchant", "platform"):
        for handler in getattr(cls, f"{audience}_routes"):
            for path in handler.paths:
                for method in sorted(getattr(handler, "http_methods", ())):
                    yield "route", f"{method} /api/{audience}/{cls.name}/{path.strip('/')}"


def in_order(classes: Mapping[str, type[Plugin]], names: Iterable[str]) -> list[str]:
    """`names` sorted so that each comes after what it requires. Raises `PluginError` for one that is missing or a ring."""
    wanted = set(names)
    done: list[str] = []
    path: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        if name in path:
            raise PluginError(f"Plugins require each other in a ring: {' -> '.join([*path, name])}.")
        if name not in classes:
            raise PluginError(
                f"Plugin {name} is not installed; installed are: {', '.join(sorted(classes)) or 'none'}."
            )
        path.append(name)
        for needed in classes[name].requires:
            if needed not in wanted:
                raise PluginError(f"Plugin {name} requires {needed}; enable {needed} first.")
            visit(needed)
        path.pop()
        done.append(name)

    for name in sorted(wanted):
        visit(name)
    return done


def parse_config(cls: type[Plugin], data: object) -> msgspec.Struct:
    """Validate a plugin's config. Raises `PluginError` naming the field and what is wrong."""
    try:
        return msgspec.convert(data, cls.Config, strict=True)
    except (msgspec.ValidationError, ValueError) as error:
        raise PluginError(f"Config of {cls.name}: {error}") from None


def build(
    classes: Mapping[str, type[Plugin]],
    specs: ModuleType,
    *,
    generation: int,
    enabled: Mapping[str, object],
    winding_down: Mapping[str, object],
    quarantined: Iterable[str] = (),
    always: Sequence[Plugin] = (),
    edits: MatrixEdits = NO_EDITS,
) -> Snapshot:
    """The snapshot for these plugins and their raw configs. `always` are core's own subscribers. Raises `PluginError`."""
    order = in_order(classes, enabled)
    active = [classes[n](parse_config(classes[n], enabled[n])) for n in order]
    resting = [
        classes[n](parse_config(classes[n], c))
        for n, c in winding_down.items()
        if n in classes and n not in enabled
    ]
    providers = [p.name for p in active if p.commission_provider() is not None]
    if len(providers) > 1:
        raise PluginError(
            f"Only one plugin may reckon the market's commission; enabled are {' and '.join(providers)}."
        )
    locked_away = {n: classes[n] for n in quarantined if n in classes}
    return Snapshot(generation, [*active, *always], [*active, *resting, *always], specs, edits, locked_away)
