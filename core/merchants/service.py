"""The life of a merchant: applied -> open <-> suspended. Suspended: orders go on being served, nothing new is sold."""

from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec

from core import hookspecs
from core.db.tx import Tx
from core.identity import accounts, staff
from core.kit.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from core.kit.geo import Point
from core.kit.html import safe_image
from core.kit.ids import new_id, ref
from core.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from core.kit.text import clean, grams, query_grams
from core.merchants import repository
from core.merchants.schemas import Licence, LicenceIn, MerchantIn, MerchantOut, ShopCard, ShopOut, ShopPatch
from core.types.events import MerchantEvent
from core.types.scope import Principal

MAX_QUERY = 100
MAX_NICKNAME = accounts.MAX_NICKNAME
STATUSES = ("applied", "open", "suspended", "terminated")


async def apply(tx: Tx, data: MerchantIn) -> MerchantOut:
    """Record an application: the merchant, its owner's account and their place in the staff. Needs the system scope.

    Raises `Conflict` `slug_taken`, or `login_taken` from the account.
    """
    data = msgspec.structs.replace(
        data, name=_line(data.name), about=clean(data.about).strip(), image_url=_image(data.image_url),
        licence=_licence(data.licence),
    )  # fmt: skip
    merchant_id = new_id()
    # First, because it hashes the password before the transaction has borrowed a connection.
    owner = await accounts.create_account(tx, data.owner.login, data.owner.password, data.name[:MAX_NICKNAME])
    row = await repository.insert(tx, merchant_id, data)
    if row is None:
        raise Conflict(f"The slug {data.slug!r} is taken; choose another.", code="slug_taken")
    await staff.add(tx, merchant_id, owner, ["owner"])
    _emit(tx, row)
    return _out(row)


async def approve(tx: Tx, merchant_id: UUID) -> MerchantOut:
    """applied -> open. Raises `Conflict` `wrong_state`, `NotFound`."""
    return await _move(tx, merchant_id, "applied", "open")


async def suspend(tx: Tx, merchant_id: UUID, reason: str) -> MerchantOut:
    """open -> suspended. Raises `Conflict` `wrong_state`, `NotFound`."""
    return await _move(tx, merchant_id, "open", "suspended", clean(reason).strip())


async def reopen(tx: Tx, merchant_id: UUID) -> MerchantOut:
    """suspended -> open. Raises `Conflict` `wrong_state`, `NotFound`."""
    return await _move(tx, merchant_id, "suspended", "open")


async def _move(tx: Tx, merchant_id: UUID, before: str, after: str, reason: str | None = None) -> MerchantOut:
    row = await repository.move(tx, merchant_id, before, after, reason)
    if row is None:
        found = await _existing(tx, merchant_id)
        raise Conflict(
            f"The merchant is {found['status']}; only one that is {before} can become {after}.",
            code="wrong_state",
        )
    await repository.relist(tx, merchant_id)
    _emit(tx, row)
    return _out(row)


async def change(tx: Tx, merchant_id: UUID, patch: ShopPatch) -> MerchantOut:
    """A shop changes its public facts; name and place go over to its listings in the same transaction."""
    fields = _changes(patch)
    if not fields:
        return await shop(tx, merchant_id)
    row = await repository.change(tx, merchant_id, fields)
    if row is None:
        raise _unknown()
    if "name" in fields or "location" in fields:
        await repository.relist(tx, merchant_id)
    _emit(tx, row)
    return _out(row)


def _changes(patch: ShopPatch) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if patch.name is not msgspec.UNSET:
        fields["name"] = _line(patch.name)
        fields["grams"] = grams(fields["name"])
    if patch.about is not msgspec.UNSET:
        fields["about"] = clean(patch.about).strip()
    if patch.location is not msgspec.UNSET:
        fields["location"] = repository.pg_point(patch.location)
    if patch.image_url is not msgspec.UNSET:
        fields["image_url"] = _image(patch.image_url)
    if patch.licence is not msgspec.UNSET:
        fields["licence"] = msgspec.json.encode(_licence(patch.licence)).decode()
    return fields


async def shop(tx: Tx, merchant_id: UUID) -> MerchantOut:
    """One merchant, in any state. Raises `NotFound`."""
    return _out(await _existing(tx, merchant_id))


async def listed(tx: Tx, status: str | None, cursor: str | None, limit: int) -> Page[MerchantOut]:
    """All merchants for the operator, newest first, optionally of one status."""
    check_limit(limit)
    if status is not None and status not in STATUSES:
        raise Invalid(
            "No such status.", FieldError("status", "unknown", f"Use one of {', '.join(STATUSES)}.")
        )
    rows = await repository.page(tx, status, decode_cursor(cursor, UUID) if cursor else None, limit + 1)
    following = encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
    return Page([_out(row) for row in rows[:limit]], following)


async def public_shop(tx: Tx, merchant_id: UUID) -> ShopOut:
    """An open shop's page. Raises `NotFound`, also for one that is not open."""
    row = await repository.public_one(tx, merchant_id)
    if row is None:
        raise _unknown()
    card = _card(row)
    return ShopOut(
        card.id, card.slug, card.name, card.image_url, card.about, card.location, card.rating,
        repository.licence_of(row),
    )  # fmt: skip


class Apart(msgspec.Struct, frozen=True, array_like=True):
    """Where a page by distance ended: metres, and the merchant."""

    metres: Annotated[float, msgspec.Meta(ge=0, le=1e8)]
    merchant_id: UUID


async def public_shops(
    tx: Tx, near: str | None, query: str | None, cursor: str | None, limit: int
) -> Page[ShopCard]:
    """Open shops: newest first, with `near` ("lng,lat") nearest first and only those that have a place."""
    check_limit(limit)
    wanted = _wanted(query)
    if wanted is None:
        return Page([])
    if near is None:
        before = decode_cursor(cursor, UUID) if cursor else None
        rows = await repository.newest(tx, wanted, before, limit + 1)
        following = encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
        return Page([_card(row) for row in rows[:limit]], following)
    here = parse_near(near)
    after = decode_cursor(cursor, Apart) if cursor else None
    rows = await repository.nearest(
        tx, wanted, here, (after.metres, after.merchant_id) if after else None, limit + 1
    )
    following = (
        encode_cursor(Apart(rows[limit - 1]["apart"], rows[limit - 1]["id"])) if len(rows) > limit else None
    )
    return Page([_card(row, row["apart"]) for row in rows[:limit]], following)


def parse_near(text: str) -> Point:
    """A place in a query parameter. Raises `Invalid`."""
    try:
        return Point.parse(text)
    except ValueError as error:
        raise Invalid(f"near: {error}.", FieldError("near", "place", f"{error}.")) from None


def _wanted(query: str | None) -> list[str] | None:
    """Grams to look for; None when the query holds nothing that can be searched for."""
    if query is None or not query.strip():
        return []
    return query_grams(query[:MAX_QUERY]) or None


def _card(row: asyncpg.Record, apart: float | None = None) -> ShopCard:
    return ShopCard(
        ref(row["id"]),
        row["slug"],
        row["name"],
        row["image_url"],
        row["about"],
        place_of(row["location"]),
        row["rating_bp"],
        None if apart is None else round(apart),
    )


def place_of(stored: asyncpg.Point | None) -> Point | None:
    """A place as stored."""
    return None if stored is None else Point(stored.x, stored.y)


async def _existing(tx: Tx, merchant_id: UUID) -> asyncpg.Record:
    row = await repository.one(tx, merchant_id)
    if row is None:
        raise _unknown()
    return row


def _unknown() -> NotFound:
    return NotFound("There is no such merchant.")


def _emit(tx: Tx, row: asyncpg.Record) -> None:
    tx.emit(hookspecs.merchant_changed, MerchantEvent(row["id"], row["status"]))


def _out(row: asyncpg.Record) -> MerchantOut:
    return MerchantOut(
        ref(row["id"]), row["slug"], row["name"], row["status"], row["about"], row["image_url"],
        place_of(row["location"]), repository.licence_of(row), row["rating_bp"], row["created_at"],
        row["opened_at"], row["suspended_at"], row["suspended_reason"],
    )  # fmt: skip


def _line(name: str) -> str:
    name = " ".join(clean(name).split())
    if not name:
        raise Invalid("A shop needs a name.", FieldError("name", "required", "Give the shop a name."))
    return name


def _image(url: str | None, field: str = "image_url") -> str | None:
    if url and safe_image(url) is None:
        detail = "An image is an https:// address or begins with /static/."
        raise Invalid(detail, FieldError(field, "bad_image", detail))
    return url or None


def _licence(licence: Licence) -> LicenceIn:
    return LicenceIn(
        clean(licence.name).strip(), clean(licence.number).strip(), clean(licence.address).strip(),
        clean(licence.phone).strip(), _image(licence.image_url, "licence.image_url"),
    )  # fmt: skip


def merchant_of(me: Principal) -> UUID:
    """The shop whose staff this is; only for routes of the merchant audience, whose tokens all name one."""
    if me.merchant_id is None:
        raise Forbidden("This token names no shop; sign in with audience merchant.", code="wrong_audience")
    return me.merchant_id
