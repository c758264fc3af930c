"""A buyer's addresses. Recipient, phone and street are encrypted for their account; the phone has a blind
index.

Changes lock the account's row first, so that the count and the one default hold under concurrent calls.
"""

from uuid import UUID

import asyncpg
import msgspec

from core.db.tx import Tx, columns
from core.identity.phones import normal_phone
from core.identity.schemas import AddressInput, AddressView
from core.kit.crypto import Vault
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.geo import Point
from core.kit.ids import new_id, ref
from core.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from core.kit.text import clean
from core.types.identity import Merging

MOST = 50

_PLAIN = ("recipient", "province", "city", "district", "street")

_LOCK = "select 1 from account where id = $1 for no key update"
_COUNT = "select count(*) from address where account_id = $1"
_ONLY_DEFAULT = "update address set is_default = false where account_id = $1 and is_default and id <> $2"

_ADD = """
insert into address (account_id, id, recipient, phone, phone_index, street, province, city, district,
  location, is_default, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""

_CHANGE = """
update address set recipient = $3, phone = $4, phone_index = $5, street = $6, province = $7, city = $8,
  district = $9, location = $10, is_default = $11
where account_id = $1 and id = $2 returning true
"""

# What a guest has, unless the account has addresses already.
_OF_GUEST = """
select id as address_id, recipient, phone, street, province, city, district, location[0] as lng, location[1] as lat,
  is_default, created_at
from address where account_id = $1 and not exists (select from address where account_id = $2)
"""
_MOVE = """
with gone as (delete from address where account_id = $1)
insert into address (account_id, id, recipient, phone, phone_index, street, province, city, district, location,
  is_default, created_at)
select $2, x.id, x.recipient, x.phone, x.phone_index, x.street, x.province, x.city, x.district, x.location,
  x.is_default, x.created_at
from unnest($3::uuid[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[], $8::text[], $9::text[], $10::text[],
  $11::point[], $12::boolean[], $13::timestamptz[])
  as x(id, recipient, phone, phone_index, street, province, city, district, location, is_default, created_at)
"""

_PAGE = """
select id, recipient, phone, street, province, city, district, location[0] as lng, location[1] as lat, is_default
from address
where account_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3
"""

# The address $2 of account $1, or its default one for null, as it is stored; `opened` makes an `OrderAddress` of it.
SEALED = """
select id as address_id, recipient, phone, street, province, city, district, location[0] as lng, location[1] as lat
from address
where account_id = $1 and (id = $2 or ($2::uuid is null and is_default))
"""


class OrderAddress(msgspec.Struct, frozen=True):
    """Where an order goes, in clear."""

    recipient: str
    phone: str
    province: str
    city: str
    district: str
    street: str
    location: Point | None = None


async def page(tx: Tx, account_id: UUID, limit: int, cursor: str | None) -> Page[AddressView]:
    """The account's addresses, newest first."""
    before = decode_cursor(cursor, UUID) if cursor else None
    rows = await tx.fetch(_PAGE, account_id, before, check_limit(limit) + 1)
    items = [
        _view(r["id"], opened(tx.env.vault, account_id, r), is_default=r["is_default"]) for r in rows[:limit]
    ]
    return Page(items, encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None)


async def add(tx: Tx, account_id: UUID, data: AddressInput) -> AddressView:
    """A new address; the first one becomes the default. Raises `Invalid`, `Conflict` `too_many_addresses`."""
    address = checked(data)
    await tx.execute(_LOCK, account_id)
    count = await tx.fetchval(_COUNT, account_id)
    if count >= MOST:
        raise Conflict(f"There are {MOST} addresses already; delete one first.", code="too_many_addresses")
    address_id, is_default = new_id(), data.is_default or count == 0
    if is_default:
        await tx.execute(_ONLY_DEFAULT, account_id, address_id)
    await tx.execute(
        _ADD, account_id, address_id, *_sealed(tx.env.vault, account_id, address), is_default, tx.now
    )
    return _view(address_id, address, is_default=is_default)


async def change(tx: Tx, account_id: UUID, address_id: UUID, data: AddressInput) -> AddressView:
    """Replace an address. Raises `Invalid`, `NotFound`."""
    address = checked(data)
    await tx.execute(_LOCK, account_id)
    # Before the change: the unique index on the default is checked row by row.
    if data.is_default:
        await tx.execute(_ONLY_DEFAULT, account_id, address_id)
    values = _sealed(tx.env.vault, account_id, address)
    if not await tx.fetchval(_CHANGE, account_id, address_id, *values, data.is_default):
        raise NotFound("There is no such address.")
    return _view(address_id, address, is_default=data.is_default)


async def remove(tx: Tx, account_id: UUID, address_id: UUID) -> None:
    """Delete an address. Raises `NotFound`. Placed orders keep their own copy."""
    gone = "delete from address where account_id = $1 and id = $2 returning true"
    if not await tx.fetchval(gone, account_id, address_id):
        raise NotFound("There is no such address.")


async def move(tx: Tx, merging: Merging) -> None:
    """Give a guest's addresses to an account that has none; sealed anew, for they are encrypted for their account. In the
    system scope, with both accounts' rows locked."""
    found = await tx.fetch(_OF_GUEST, merging.guest_id, merging.account_id)
    if not found:
        return
    vault = tx.env.vault
    rows = [
        (
            row["address_id"],
            *_sealed(vault, merging.account_id, opened(vault, merging.guest_id, row)),
            row["is_default"],
            row["created_at"],
        )
        for row in found
    ]
    await tx.execute(_MOVE, merging.guest_id, merging.account_id, *columns(rows, 11))


def checked(data: AddressInput) -> OrderAddress:
    """The address as it is kept: fields trimmed, on one line, the phone normalised. Raises `Invalid`."""
    plain = {name: " ".join(clean(getattr(data, name)).split()) for name in _PLAIN}
    errors = [FieldError(name, "required", f"Give {name}.") for name, value in plain.items() if not value]
    phone = normal_phone(data.phone)
    if phone is None:
        errors.append(FieldError("phone", "phone", "Use a mainland mobile or landline number."))
    if errors or phone is None:
        raise Invalid("This is not an address goods can be sent to.", *errors)
    return OrderAddress(phone=phone, location=data.location, **plain)


def _sealed(vault: Vault, account_id: UUID, address: OrderAddress) -> tuple[object, ...]:
    place = address.location
    return (
        vault.seal(address.recipient, f"address.recipient:{account_id}"),
        vault.seal(address.phone, f"address.phone:{account_id}"),
        vault.blind(address.phone),
        vault.seal(address.street, f"address.street:{account_id}"),
        address.province,
        address.city,
        address.district,
        asyncpg.Point(place.lng, place.lat) if place else None,
    )


def opened(vault: Vault, account_id: UUID, row: asyncpg.Record) -> OrderAddress:
    """The address in a row of its columns. Raises `ValueError` for one sealed for another account or key."""
    return OrderAddress(
        recipient=vault.open(row["recipient"], f"address.recipient:{account_id}"),
        phone=vault.open(row["phone"], f"address.phone:{account_id}"),
        province=row["province"],
        city=row["city"],
        district=row["district"],
        street=vault.open(row["street"], f"address.street:{account_id}"),
        location=Point(row["lng"], row["lat"]) if row["lng"] is not None else None,
    )


def _view(address_id: UUID, address: OrderAddress, *, is_default: bool) -> AddressView:
    return AddressView(id=ref(address_id), is_default=is_default, **msgspec.structs.asdict(address))
