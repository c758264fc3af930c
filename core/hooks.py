"""Hooks: declared in `core.hookspecs`, implemented by plugins, called by the flow as frozen tuples.

pluggy registers and validates; calling goes past it, because the flow must await and because a plain tuple of
methods costs nothing. What each call takes is measured (`core.kit.meters`). Order is the plugins' names: no tryfirst,
no wrappers.
"""

import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from enum import StrEnum
from types import ModuleType, NoneType
from typing import Any, ParamSpec, Protocol, TypeVar, get_args, overload

import pluggy

from core.kit import meters

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_Specs = Mapping[str, Callable[..., Any]]
_Found = Mapping[str, Mapping[str, Callable[..., Any]]]

_spec = pluggy.HookspecMarker("jishi")
_impl = pluggy.HookimplMarker("jishi")


class Kind(StrEnum):
    """When a hook runs and what it may do (see `docs/hooks.md`).

    A rule is not registered by itself: the load `price_rules` returns `PriceRule` objects, whose `propose` is sync and pure.
    """

    RULE = "rule"
    LOAD = "load"
    GUARD = "guard"
    EFFECT = "effect"


class HookError(Exception):
    """A plugin's hooks do not fit; the message names the plugin and says what to change."""


class Named(Protocol):
    """Whatever has a name: a plugin."""

    @property
    def name(self) -> str:
        """Unique among plugins."""


@overload
def hookimpl(function: F) -> F: ...
@overload
def hookimpl(*, ordered_by: str) -> Callable[[F], F]: ...
@overload
def hookimpl(*, every_order: bool) -> Callable[[F], F]: ...
def hookimpl(
    function: F | None = None, *, ordered_by: str | None = None, every_order: bool = False
) -> F | Callable[[F], F]:
    """Mark a method of a plugin as the implementation of the hook of the same name.

    `ordered_by`, for effects: a field of the event. The plugin's effects that name the same field are done one after
    another for each value of it, in the order of the events; one that fails or is parked holds back those after it.
    `every_order`, for guards that are asked about an order by those who had a part in it: this one wants all of them.
    """

    def mark(function: F) -> F:
        if ordered_by is not None:
            function.jishi_ordered_by = ordered_by  # type: ignore[attr-defined]
        if every_order:
            function.jishi_every_order = True  # type: ignore[attr-defined]
        return _impl(function)

    return mark if function is None else mark(function)


def lane_of(effect: Callable[..., Any], event: Any) -> str | None:
    """What orders this event for this effect; events of the same lane are delivered one after another. None: no order."""
    field = getattr(effect, "jishi_ordered_by", None)
    return None if field is None else f"{field}={getattr(event, field)}"


def wants(implementation: Callable[..., Any], plugin: str, contributors: Collection[str] | None) -> bool:
    """Whether a plugin is asked about an order: it had a part in it, or its implementation wants every order. With None it
    is not known who had a part, so all are asked."""
    return contributors is None or plugin in contributors or hasattr(implementation, "jishi_every_order")


def load(function: F) -> F:
    """A load: async, reads only; takes a whole batch and returns a list."""
    return _mark(function, Kind.LOAD, veto=False, winds_down=False)


def guard(*, veto: bool, winds_down: bool = False, contributors: bool = False) -> Callable[[F], F]:
    """A guard: async, writes inside the caller's transaction; with `veto` it may raise a business error.

    `winds_down`: also called for plugins that are switched off, so that begun business is finished. `contributors`: called
    for the plugins that had a part in the order, and for those that want every order.
    """
    return lambda function: _mark(
        function, Kind.GUARD, veto=veto, winds_down=winds_down, contributors=contributors
    )


def effect(function: F) -> F:
    """An effect: async, after commit, in a worker, in a transaction of its own, at least once delivered."""
    return _mark(function, Kind.EFFECT, veto=False, winds_down=False)


def _mark(function: F, kind: Kind, *, veto: bool, winds_down: bool, contributors: bool = False) -> F:
    function.jishi_kind = kind  # type: ignore[attr-defined]
    function.jishi_veto = veto  # type: ignore[attr-defined]
    function.jishi_winds_down = winds_down  # type: ignore[attr-defined]
    function.jishi_contributors = contributors  # type: ignore[attr-defined]
    return _spec(function)


def event_payload(spec: Callable[..., Any]) -> type[Any]:
    """The Struct type that an effect's event carries: the annotation of its last argument."""
    *_, last = inspect.signature(spec, eval_str=True).parameters.values()
    return last.annotation  # type: ignore[no-any-return]


class Hooks:
    """The frozen implementations of one generation."""

    def __init__(
        self,
        specs: _Specs,
        active: _Found,
        installed: _Found,
    ) -> None:
        self.specs = specs
        installed, active = _metered(specs, installed, active)
        self._installed = installed
        self._active: dict[Callable[..., Any], tuple[tuple[str, Callable[..., Any]], ...]] = {}
        for name, spec in specs.items():
            source = installed if spec.jishi_winds_down else active  # type: ignore[attr-defined]
            self._active[spec] = tuple(sorted(source.get(name, {}).items()))

    def of(self, spec: Callable[P, Awaitable[R]]) -> tuple[tuple[str, Callable[P, Awaitable[R]]], ...]:
        """(plugin name, implementation) of the hook `spec`, in the order of names."""
        return self._active[spec]

    def about(
        self, spec: Callable[P, Awaitable[R]], contributors: Collection[str] | None
    ) -> tuple[tuple[str, Callable[P, Awaitable[R]]], ...]:
        """The same for an order in which `contributors` had a part, None if that is not known: those that are asked."""
        return tuple([(name, guard) for name, guard in self.of(spec) if wants(guard, name, contributors)])

    def find(self, name: str, plugin: str) -> Callable[..., Awaitable[None]] | None:
        """One plugin's implementation of a hook by name, also when it is switched off; None when there is none."""
        return self._installed.get(name, {}).get(plugin)


def _metered(specs: _Specs, installed: _Found, active: _Found) -> tuple[_Found, _Found]:
    """Both with each implementation wrapped once, so that calls are measured wherever they are made."""
    wrapped = {
        hook: {
            plugin: meters.metered(hook, plugin, function, load=specs[hook].jishi_kind is Kind.LOAD)  # type: ignore[attr-defined]
            for plugin, function in found.items()
        }
        for hook, found in installed.items()
    }
    return wrapped, {hook: {p: wrapped[hook][p] for p in found} for hook, found in active.items()}


def freeze(
    module: ModuleType,
    extra: Mapping[str, Callable[..., Any]],
    active: Iterable[Named],
    installed: Iterable[Named],
) -> Hooks:
    """Verify every implementation against its spec and freeze them. Raises `HookError` with all faults at once."""
    specs = {n: f for n, f in vars(module).items() if getattr(f, "jishi_kind", None)} | dict(extra)
    manager = pluggy.PluginManager("jishi")
    manager.add_hookspecs(module)
    if extra:
        manager.add_hookspecs(type("Extra", (), {n: staticmethod(f) for n, f in extra.items()}))
    faults: list[str] = []
    found: dict[str, dict[str, Callable[..., Any]]] = {}
    for plugin in installed:
        faults += _collect(manager, plugin, specs, found)
    if faults:
        raise HookError("\n".join(faults))
    names = {p.name for p in active}
    on = {hook: {n: f for n, f in impls.items() if n in names} for hook, impls in found.items()}
    return Hooks(specs, on, found)


def _collect(
    manager: pluggy.PluginManager,
    plugin: Named,
    specs: Mapping[str, Callable[..., Any]],
    found: dict[str, dict[str, Callable[..., Any]]],
) -> list[str]:
    """Register one plugin with pluggy and check each implementation by our own, stricter rules."""
    try:
        manager.register(plugin, plugin.name)
    except pluggy.PluginValidationError as error:
        return [f"Plugin {plugin.name}: {error}"]
    faults: list[str] = []
    for name in dir(type(plugin)):
        function = getattr(type(plugin), name)
        if not callable(function):
            continue
        marked = manager.parse_hookimpl_opts(plugin, name) is not None
        if marked and name not in specs:
            faults.append(
                f"Plugin {plugin.name}: there is no hook {name}; see docs/hooks.md for those there are."
            )
        elif not marked and name in specs:
            faults.append(f"Plugin {plugin.name}: {name} is a hook, mark it with @hookimpl or rename it.")
        elif marked:
            fault = _mismatch(specs[name], function)
            if fault:
                faults.append(f"Plugin {plugin.name}: {name} {fault}")
            found.setdefault(name, {})[plugin.name] = getattr(plugin, name)
    return faults


def _mismatch(spec: Callable[..., Any], function: Callable[..., Any]) -> str | None:
    """Why an implementation does not fit its spec, or None."""
    options: dict[str, Any] = getattr(function, "jishi_impl", None) or {}
    if any(options.get(k) for k in ("tryfirst", "trylast", "wrapper", "hookwrapper", "optionalhook")):
        return "uses a pluggy option (tryfirst, trylast, wrapper); order comes from phases and names."
    if not inspect.iscoroutinefunction(function):
        return "must be an async function."
    want = inspect.signature(spec, eval_str=True)
    have = inspect.signature(function, eval_str=True)
    want_args = [(p.name, p.annotation) for p in want.parameters.values()]
    have_args = [(p.name, p.annotation) for p in have.parameters.values()][1:]
    if want_args != have_args:
        return f"takes {_show(have_args)}, but the hook takes {_show(want_args)}."
    if not _keeps(have.return_annotation, want.return_annotation):
        return f"returns {have.return_annotation}, but the hook returns {want.return_annotation}."
    if hasattr(function, "jishi_every_order") and not spec.jishi_contributors:  # type: ignore[attr-defined]
        return (
            "has every_order, which is for guards that only those are asked by who had a part in the order."
        )
    return _unordered(spec, getattr(function, "jishi_ordered_by", None))


def _keeps(have: Any, want: Any) -> bool:
    """Whether an implementation that answers with `have` does what is `want`ed; it may promise never to answer anything."""
    return bool(have == want) or (have is None and NoneType in get_args(want))


def _unordered(spec: Callable[..., Any], field: str | None) -> str | None:
    """Why `ordered_by` cannot be kept, or None."""
    if field is None:
        return None
    if spec.jishi_kind is not Kind.EFFECT:  # type: ignore[attr-defined]
        return "has ordered_by, which is for effects."
    if field not in getattr(event_payload(spec), "__struct_fields__", ()):
        return f"is ordered_by {field}, which its event does not have."
    return None


def _show(args: list[tuple[str, Any]]) -> str:
    return "(" + ", ".join(f"{n}: {getattr(a, '__name__', a)}" for n, a in args) + ")"
