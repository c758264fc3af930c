"""What the operator sees of plugins, on the wire."""

from typing import Annotated, Any, Literal

import msgspec

Names = Annotated[tuple[str, ...], msgspec.Meta(max_length=100)]


class PluginInfo(msgspec.Struct, frozen=True):
    """One installed plugin. `pinned`: the settings file decides. `problem`: why it does not run although switched on.

    `winding_down`: it is off, but finishes what was begun while it was on.
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
