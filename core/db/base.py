"""Tables declare their class; the class decides their policies (`core.db.policies`).

* merchant-owned: `merchant_id` first in every primary, foreign and unique key; the market itself is a merchant.
* buyer-owned: `account_id` first.
* market-global: everything else.

No foreign key crosses classes.
"""

from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Owner(StrEnum):
    """Whose rows a table holds."""

    MERCHANT = "merchant"
    BUYER = "buyer"
    MARKET = "market"


class Access(msgspec.Struct, frozen=True):
    """A table's class and who may read beyond its owner; everything else is denied by the database.

    `public_read`: anybody may read. `buyer_read`: the account in `account_id` may read (orders). `platform_write`: the
    operator may write. `insert_any`: every scope may add rows (events). `append_only`: nobody may change or delete.
    `own`: an SQL condition for the rows a market-global table shows to their subject.
    """

    owner: Owner
    public_read: bool = False
    buyer_read: bool = False
    platform_write: bool = False
    insert_any: bool = False
    append_only: bool = False
    own: str | None = None


def metadata() -> sa.MetaData:
    """A registry with the project's naming of constraints."""
    return sa.MetaData(naming_convention=NAMING)


def access(owner: Owner, **kwargs: Any) -> dict[str, Any]:
    """`info=` of a table: its class."""
    return {"access": Access(owner, **kwargs)}


def uuid(name: str, **kwargs: Any) -> sa.Column[Any]:
    """A UUID column, not null unless said."""
    return sa.Column(name, sa.Uuid(), **({"nullable": False} | kwargs))


def text(name: str, **kwargs: Any) -> sa.Column[Any]:
    """A text column, not null unless said."""
    return sa.Column(name, sa.Text(), **({"nullable": False} | kwargs))


def texts(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    """An array of text, empty by default; null by default if it may be."""
    return sa.Column(name, pg.ARRAY(sa.Text()), nullable=nullable, server_default=None if nullable else "{}")


def uuids(name: str) -> sa.Column[Any]:
    """An array of UUIDs, empty by default."""
    return sa.Column(name, pg.ARRAY(sa.Uuid()), nullable=False, server_default="{}")


def fen(name: str, **kwargs: Any) -> sa.Column[Any]:
    """An amount in fen."""
    return sa.Column(name, sa.BigInteger(), **({"nullable": False} | kwargs))


def number(name: str, **kwargs: Any) -> sa.Column[Any]:
    """An integer, not null unless said."""
    return sa.Column(name, sa.Integer(), **({"nullable": False} | kwargs))


def flag(name: str, *, default: bool = False) -> sa.Column[Any]:
    """A boolean."""
    return sa.Column(
        name, sa.Boolean(), nullable=False, server_default=sa.text("true" if default else "false")
    )


def at(name: str, **kwargs: Any) -> sa.Column[Any]:
    """A point in time with zone, null unless said."""
    return sa.Column(name, sa.DateTime(timezone=True), **kwargs)


def json(name: str, **kwargs: Any) -> sa.Column[Any]:
    """A jsonb column."""
    return sa.Column(name, pg.JSONB(), **kwargs)


def secret(name: str, **kwargs: Any) -> sa.Column[Any]:
    """Encrypted bytes (`core.kit.crypto`)."""
    return sa.Column(name, sa.LargeBinary(), **kwargs)


class PgPoint(sa.types.UserDefinedType[Any]):
    """PostgreSQL's built-in `point` (lng, lat)."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in SQL."""
        return "point"


def one_of(column: str, *values: str) -> sa.CheckConstraint:
    """Only these values."""
    listed = ", ".join(f"'{v}'" for v in values)
    return sa.CheckConstraint(f"{column} in ({listed})", name=column)
