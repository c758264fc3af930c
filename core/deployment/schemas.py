"""What the operator sees of plugins and of the stacking matrix, on the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from core.cart.schemas import MAX_QUOTE_LINES, Id, Name, Options, WantedLine
from core.identity.schemas import ActorView
from core.kit.geo import Point
from core.types.matrix import Fault, MatrixEdits, PhaseName
from core.types.pricing import Quote, Relation

Place = Annotated[str, msgspec.Meta(max_length=64)]
Names = Annotated[tuple[str, ...], msgspec.Meta(max_length=100)]


class PluginInfo(msgspec.Struct, frozen=True):
    """One installed plugin. `pinned`: the settings file decides. `problem`: why it does not run although switched on.

    `winding_down`: it is off, but finishes what was begun while it was on; `open` is how much that is, by sort.
    `quarantine`: why nothing of it runs; it owes what is `open` until it is released.
    """

    name: str
    title: str
    summary: str
    version: str
    enabled: bool
    pinned: bool
    winding_down: bool
    requires: Names
    required_by: Names
    problem: str | None = None
    quarantine: str | None = None
    open: Mapping[str, int] | None = None


class PluginList(msgspec.Struct, frozen=True):
    """All plugins, and the generation this process runs."""

    items: tuple[PluginInfo, ...]
    generation: int
    next_cursor: str | None = None


class PluginConfig(msgspec.Struct, frozen=True):
    """A plugin's config with its defaults filled in, and the JSON Schema that a new one must follow."""

    config: dict[str, Any]
    schema: dict[str, Any]


class Disable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to switch off. Either way no new business begins and begun business goes on to its end."""

    mode: Literal["now", "drain"] = "now"


class Quarantine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why nothing of a plugin may run any more."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Purged(msgspec.Struct, frozen=True):
    """What was removed for good."""

    name: str
    tables: tuple[str, ...]


class Generation(msgspec.Struct, frozen=True):
    """One change of the deployment; `by` is null for the command line. Outcome `proposed` is still being decided,
    `withdrawn` changed nothing, for the reason given."""

    number: int
    at: datetime
    by: ActorView | None
    change: str
    outcome: Literal["proposed", "active", "withdrawn"]
    reason: str | None


class Undo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Back to before the newest generation; `expected_generation` is the one that is to be undone."""

    expected_generation: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


Version = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Note = Annotated[str, msgspec.Meta(max_length=500)]


class MatrixKind(msgspec.Struct, frozen=True):
    """One kind of rule as it counts. `edited`: the operator changed it; `enabled`: its plugin is switched on. A group of ""
    is the kind's own; a limit of null is none."""

    name: str
    plugin: str
    title: str
    phase: PhaseName
    priority: int
    group: str
    per_shop: int | None
    per_trade: int | None
    per_line: bool
    edited: bool
    enabled: bool


class MatrixPair(msgspec.Struct, frozen=True):
    """How two kinds combine, or with `a` = `b` several rules of one kind."""

    a: str
    b: str
    relation: Relation
    edited: bool


class MatrixOut(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the stacking matrix, laid over what the installed plugins declare now.

    `pairs` holds all that do not simply stack, and those that the operator changed; pairs that are not listed stack.
    Version 0 has no edits and nobody published it.
    """

    version: int
    note: str
    by: ActorView | None
    at: datetime | None
    kinds: tuple[MatrixKind, ...]
    pairs: tuple[MatrixPair, ...]
    edits: MatrixEdits


class MatrixVersion(msgspec.Struct, frozen=True):
    """One version as it was published; `by` is null for the command line."""

    version: int
    note: str
    by: ActorView | None
    at: datetime | None
    edits: MatrixEdits


class MatrixPublish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new version: all edits, not only the new ones. `expected_version` is the newest that the editor has seen."""

    expected_version: Version
    edits: MatrixEdits
    note: Note = ""


class MatrixRestore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Publish an old version's edits again."""

    expected_version: Version
    note: Note = ""


class MatrixDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Edits to be looked at."""

    edits: MatrixEdits


class MatrixFaults(msgspec.Struct, frozen=True):
    """What contradicts; nothing means that the edits can be published."""

    faults: tuple[Fault, ...]


class RegionIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a basket goes."""

    province: Place
    city: Place
    district: Place
    location: Point | None = None


class PreviewIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A basket to be priced under a draft. `account` is an id or a login: whose coupons and address count; without it
    nobody's. `region` stands in for the address; `shipping` and `options` are as in a quote."""

    edits: MatrixEdits
    lines: Annotated[list[WantedLine], msgspec.Meta(min_length=1, max_length=MAX_QUOTE_LINES)]
    account: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    region: RegionIn | None = None
    shipping: Annotated[dict[Id, Name], msgspec.Meta(max_length=MAX_QUOTE_LINES)] = {}
    options: Options = {}


class RuleChange(msgspec.Struct, frozen=True):
    """A rule that fares differently under the draft. Outcomes as in a quote's `explain`; amounts in fen."""

    plugin: str
    rule: str
    kind: str
    label: str
    before: str
    after: str
    amount_before: int
    amount_after: int


class Preview(msgspec.Struct, frozen=True):
    """The basket now and under the draft; `difference` is how much more it would come to, in fen."""

    now: Quote
    draft: Quote
    difference: int
    changed: tuple[RuleChange, ...]
