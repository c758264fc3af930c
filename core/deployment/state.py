"""The deployment as the database has it: which plugins are on, with which config, and the generation of that."""

from collections.abc import Mapping, Sequence
from types import ModuleType

import msgspec
import structlog
from msgspec.structs import replace

from core.db.tx import Tx
from core.plugin import Plugin, PluginError, Snapshot, build, parse_config
from core.types.matrix import NO_EDITS, MatrixEdits

_READ = """
select (select coalesce(max(id), 0) from generation where status = 'active') as generation,
  (select coalesce(jsonb_agg(jsonb_build_object(
      'name', name, 'enabled', enabled, 'config', config, 'quarantine', quarantine)), '[]')::text
   from deployment_plugin) as plugins,
  m.version, m.edits::text as edits
from (select) one left join (select version, edits from pricing_matrix order by version desc limit 1) m on true
"""
_PROPOSED = "select state::text from generation where id = $1 and status = 'proposed'"

_log = structlog.get_logger("jishi.deployment")


class Row(msgspec.Struct, frozen=True):
    """One row of `deployment_plugin`. A row exists once the plugin was switched on or configured: its tables exist.
    `quarantine`: why nothing of it may run; None when it may."""

    name: str
    enabled: bool
    config: object
    quarantine: str | None = None


class Stored(msgspec.Struct, frozen=True):
    """A whole state as a generation keeps it: all rows without pins, and the matrix."""

    rows: tuple[Row, ...]
    version: int = 0
    edits: MatrixEdits = NO_EDITS


class State(msgspec.Struct, frozen=True):
    """One generation: `stored` as the database has it, `rows` with the pins of this process's settings laid over."""

    generation: int
    stored: Stored
    pins: Mapping[str, bool] = {}

    @property
    def rows(self) -> Mapping[str, Row]:
        """By name."""
        return pinned({r.name: r for r in self.stored.rows}, self.pins)

    @property
    def version(self) -> int:
        """The newest version of the stacking matrix; 0 has no edits."""
        return self.stored.version

    @property
    def edits(self) -> MatrixEdits:
        """The operator's edits of the stacking matrix."""
        return self.stored.edits

    def on(self) -> set[str]:
        """Names of the plugins that are switched on and may run."""
        return {r.name for r in self.rows.values() if r.enabled and r.quarantine is None}

    def changed(self, row: Row) -> "State":
        """The same with `row` in the place of its namesake."""
        return self.with_stored(replace(self.stored, rows=(*self._others(row.name), row)))

    def without(self, name: str) -> "State":
        """The same as if the plugin had never been there."""
        return self.with_stored(replace(self.stored, rows=self._others(name)))

    def published(self, edits: MatrixEdits) -> "State":
        """The same with `edits` as the next version of the matrix."""
        return self.with_stored(replace(self.stored, version=self.version + 1, edits=edits))

    def with_stored(self, stored: Stored) -> "State":
        """The same generation with another content."""
        return replace(self, stored=stored)

    def _others(self, name: str) -> tuple[Row, ...]:
        return tuple(r for r in self.stored.rows if r.name != name)


async def read(tx: Tx, pins: Mapping[str, bool]) -> State:
    """The active state, in one statement so that generation and rows belong together. Any scope may read it."""
    found = await tx.fetchrow(_READ)
    assert found is not None
    rows = msgspec.json.decode(found["plugins"], type=tuple[Row, ...])
    version = found["version"] or 0
    return State(found["generation"], Stored(rows, version, edits_of(version, found["edits"])), pins)


async def proposed(tx: Tx, number: int, pins: Mapping[str, bool]) -> State | None:
    """The state that generation `number` proposes; None once that is decided."""
    found = await tx.fetchval(_PROPOSED, number)
    return State(number, msgspec.json.decode(found, type=Stored), pins) if found is not None else None


def edits_of(version: int, stored: str | None) -> MatrixEdits:
    """Stored edits. Those that a later release wrote in its own way are left out, so that the market starts: the plugins'
    own declarations hold, and the log says so."""
    try:
        return msgspec.json.decode(stored, type=MatrixEdits) if stored is not None else NO_EDITS
    except msgspec.MsgspecError as error:
        _log.error("matrix left out", version=version, reason=str(error))
        return NO_EDITS


def pinned(rows: Mapping[str, Row], pins: Mapping[str, bool]) -> dict[str, Row]:
    """The rows with the settings' pins laid over them; a pinned plugin without a row has its default config."""
    over = {n: replace(rows.get(n, Row(n, enabled, {})), enabled=enabled) for n, enabled in pins.items()}
    return {**rows, **{n: r for n, r in over.items() if r.enabled or n in rows}}


def unusable(state: State, classes: Mapping[str, type[Plugin]]) -> dict[str, str]:
    """Plugins of the state that cannot be had, with the reason: code missing, config no longer valid, or switched on
    without what they require."""
    found: dict[str, str] = {}
    for row in state.rows.values():
        if row.name not in classes:
            found[row.name] = f"The code of plugin {row.name} is not installed."
            continue
        try:
            parse_config(classes[row.name], row.config)
        except PluginError as error:
            found[row.name] = str(error)
    while True:
        left = state.on() - found.keys()
        lacking = {n: lost for n in left if (lost := [r for r in classes[n].requires if r not in left])}
        if not lacking:
            return found
        for name, lost in lacking.items():
            found[name] = f"Plugin {name} requires {', '.join(lost)}, which is not switched on or not usable."


def snapshot(
    state: State,
    classes: Mapping[str, type[Plugin]],
    specs: ModuleType,
    always: Sequence[Plugin],
    without: Mapping[str, str],
) -> Snapshot:
    """The snapshot of this state, leaving out the plugins in `without`. Raises `PluginError`."""
    rows = state.rows.values()
    usable = [r for r in rows if r.name not in without and r.quarantine is None]
    return build(
        classes,
        specs,
        generation=state.generation,
        enabled={r.name: r.config for r in usable if r.enabled},
        winding_down={r.name: r.config for r in usable if not r.enabled},
        quarantined=[r.name for r in rows if r.quarantine is not None],
        always=always,
        edits=state.edits,
    )
