"""Plugins that break the contracts, one way each or, where they do not get in each other's way, many."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import msgspec
import pluggy
import sqlalchemy as sa
from litestar import get, post

from core.api import (
    PUBLIC,
    SYSTEM,
    Basket,
    Owner,
    Permission,
    Placement,
    Plugin,
    PriceRule,
    RuleKind,
    Tx,
    access,
    effect,
    hookimpl,
    metadata,
    one_of,
    parse_pair,
    permission,
    text,
    uuid,
)
from core.types.pricing import Adjust, Phase, Proposal, Refused, View

METADATA = metadata()
for _name, _access in (
    ("sloppy_bare", access(Owner.MERCHANT)),
    ("sloppy_shown", access(Owner.MERCHANT)),
    ("sloppy_log", access(Owner.MERCHANT, append_only=True)),
):
    sa.Table(
        _name,
        METADATA,
        uuid("merchant_id", primary_key=True),
        uuid("id", primary_key=True),
        text("note"),
        *((text("extra"),) if _name == "sloppy_shown" else ()),
        *((one_of("note", "a", "b"),) if _name == "sloppy_bare" else ()),
        info=_access,
    )

KEYS = metadata()
sa.Table(
    "keyless_goods", KEYS, uuid("id", primary_key=True), uuid("merchant_id"), info=access(Owner.MERCHANT)
)
sa.Table("keyless_notes", KEYS, uuid("id", primary_key=True))


@get("/notes/{bare_id:str}", opt=SYSTEM | permission("sloppy.look"))
async def look(tx: Tx, bare_id: str) -> dict[str, str]:
    """Shows anybody's row."""
    key = parse_pair(bare_id)
    found = await tx.fetchrow("select note from sloppy_bare where merchant_id = $1 and id = $2", *key)
    return {"note": found["note"] if found else "", "id": bare_id if found else ""}


@post("/notes/{bare_id:str}/wipe", opt=SYSTEM, status_code=204)
async def wipe(tx: Tx, bare_id: str) -> None:
    """Changes anybody's row."""
    await tx.execute("update sloppy_bare set note = 'y' where id = $1", parse_pair(bare_id)[1])


@get("/secrets", opt=permission("sloppy.secrets"))
async def secrets() -> str:
    """Needs what no buyer has."""
    return ""


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Looks closely, but not at what is in it."""

    parts: Annotated[list["Part"], msgspec.Meta(max_length=5)] | None = None


class Part(msgspec.Struct, frozen=True):
    """Takes any field."""

    number: int


@post("/open", opt=PUBLIC)
async def write_openly(data: Strict) -> None:
    """Anybody may write."""


class Loose(msgspec.Struct, frozen=True):
    """Says little."""

    needed: int
    bare: int = 1


class Lost(msgspec.Struct, frozen=True):
    """Does not come back."""

    what: complex


@effect
async def sloppy_happened(tx: Tx, event: Lost) -> None:
    """Something happened."""


async def sloppy_ignored(tx: Tx, event: Lost) -> None:
    """No effect."""


class Free(PriceRule, frozen=True, kw_only=True):
    """One fen off, so that the plugin is asked at placing."""

    def propose(self, view: View) -> Proposal | Refused:
        """One fen."""
        return (Adjust(tuple(line.line.key for line in view.lines), 1),)


class Sloppy(Plugin):
    """Routes, tables, hooks and a manifest with many faults."""

    name = "sloppy"
    title = "Sloppy"
    summary = "Breaks contracts."
    metadata = METADATA
    migrations = "tests.contracts.sloppy_migrations"
    merchant_routes = (look, wipe)
    shop_routes = (secrets, write_openly)
    permissions = (
        Permission("sloppy.never", "merchant", "Nobody asks for it"),
        Permission("other.x", "merchant", "X"),
    )
    events: ClassVar[Mapping[str, Callable[..., Any]]] = {"sloppy_happened": sloppy_happened}
    rule_kinds = (RuleKind("sloppy.free", Phase.POINTS, "Free"),)

    @hookimpl
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        """A statement for each line."""
        for line in basket.lines:
            await tx.fetchval("select $1::uuid", line.sku_id)
        return [Free(plugin="sloppy", id="free", kind="sloppy.free", label="Free")]

    @hookimpl
    async def order_placing(self, tx: Tx, placement: Placement) -> None:
        for order in placement.orders:
            for _ in range(5):
                await tx.fetchval("select $1::uuid", order.id)


class LooseConfig(Plugin):
    """A config that must be given."""

    name = "loose"
    title = summary = "Loose"
    Config = Loose


class Clashing(Plugin):
    """Takes a name that coupons have."""

    name = "clashing"
    title = summary = "Clashing"
    permissions = (Permission("coupons.manage", "merchant", "Clash"),)


class Lonely(Plugin):
    """Requires what is not there."""

    name = "lonely"
    title = summary = "Lonely"
    requires = ("nowhere",)


class Needed(Plugin):
    """Declares an event that others take."""

    name = "needed"
    title = summary = "Needed"
    events: ClassVar[Mapping[str, Callable[..., Any]]] = {"sloppy_happened": sloppy_happened}


class Clinging(Plugin):
    """Takes another's event without requiring it."""

    name = "clinging"
    title = summary = "Clinging"

    @hookimpl
    async def sloppy_happened(self, tx: Tx, event: Lost) -> None:
        """Takes it."""


class Moody(Plugin):
    """Is different each time."""

    name = "moody"
    title = summary = "Moody"
    made = 0

    def __init__(self, config: msgspec.Struct | None = None) -> None:
        super().__init__(config)
        type(self).made += 1
        number = type(self).made
        self.rule_kinds = (RuleKind(f"moody.{number}", Phase.POINTS, "Moody"),)  # type: ignore[misc]


class First(Plugin):
    """Wants to be first."""

    name = "first"
    title = summary = "First"

    @pluggy.HookimplMarker("jishi")(tryfirst=True)
    async def price_rules(self, tx: Tx, basket: Basket) -> Sequence[PriceRule]:
        """No rule."""
        return []


class Odd(Plugin):
    """An event that is no effect."""

    name = "odd"
    title = summary = "Odd"
    events: ClassVar[Mapping[str, Callable[..., Any]]] = {"sloppy_ignored": sloppy_ignored}


class Keyless(Plugin):
    """Keys without owners."""

    name = "keyless"
    title = summary = "Keyless"
    metadata = KEYS
