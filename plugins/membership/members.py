"""Members: what they see of themselves, what staff see of them and change by hand."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
from msgspec import UNSET

from core.api import (
    MARKET_ID,
    Conflict,
    FieldError,
    Invalid,
    NotFound,
    Page,
    Tx,
    check_limit,
    decode_cursor,
    encode_cursor,
    hold,
    parse_ref,
    ref,
)
from plugins.membership import books, repository
from plugins.membership.books import Book, Entry
from plugins.membership.config import Config
from plugins.membership.levels import level_out
from plugins.membership.purse import end_of_month
from plugins.membership.schemas import (
    AdjustIn,
    Ending,
    EntryOut,
    GrowthIn,
    Holding,
    MemberLevel,
    MemberOut,
    Mine,
    Standing,
)
from plugins.membership.using import PLUGIN

MOST_SHOPS = 50


async def mine(tx: Tx, account_id: UUID, merchant_id: str | None) -> Mine:
    """The account's points, and where it stands in the market and in this shop, or in all shops where it has growth or a
    bought level. Two statements. Raises `NotFound`."""
    shop = None if merchant_id is None else parse_ref(merchant_id)
    row = await repository.standing(tx, account_id, None if shop is None else [MARKET_ID, shop])
    growth: dict[UUID, int] = dict(zip(row["shops"] or (), row["growths"] or (), strict=True))
    held = dict(zip(row["levels"] or (), row["untils"] or (), strict=True))
    where = [s for s in dict.fromkeys([*growth, *(row["issuers"] or ())]) if s != MARKET_ID]
    shops = where[:MOST_SHOPS] if shop is None else [shop]
    levels = await repository.levels(tx, MARKET_ID, *shops)
    expiring = [Ending(*part) for part in zip(row["ends"] or (), row["parts"] or (), strict=True)]
    return Mine(
        sum(part.points for part in expiring),
        row["debt"] or 0,
        tx.config(Config).fen_per_point,
        expiring,
        _standing(MARKET_ID, growth.get(MARKET_ID, 0), held, levels),
        [_standing(s, growth.get(s, 0), held, levels) for s in shops if s != MARKET_ID],
    )


def _standing(
    merchant_id: UUID, growth: int, held: Mapping[UUID, datetime], levels: Iterable[asyncpg.Record]
) -> Standing:
    all_of = [row for row in levels if row["merchant_id"] == merchant_id]
    reached = [row for row in all_of if row["growth"] is not None and row["growth"] <= growth]
    above = [row for row in all_of if row["growth"] is not None and row["growth"] > growth]
    return Standing(
        ref(merchant_id),
        growth,
        level_out(reached[-1]) if reached else None,
        level_out(above[0]) if above else None,
        [Holding(level_out(row), held[row["id"]]) for row in all_of if row["id"] in held],
        [level_out(row) for row in all_of],
    )


async def journal(
    tx: Tx,
    account_id: UUID,
    unit: str | None,
    merchant_id: UUID | None,
    cursor: str | None,
    limit: int,
    *,
    market: bool = False,
) -> Page[EntryOut]:
    """The account's journal, newest first: of one unit, of one shop; for the staff of the `market` with who did it. Raises
    `Invalid`."""
    before = decode_cursor(cursor, UUID) if cursor else None
    rows = await repository.entries(tx, account_id, unit, merchant_id, before, check_limit(limit) + 1)
    return Page([_entry(row, market=market) for row in rows[:limit]], _page_end(rows, limit))


def _entry(row: asyncpg.Record, *, market: bool) -> EntryOut:
    return EntryOut(
        id=ref(row["id"]),
        at=row["at"],
        unit=row["unit"],
        merchant_id=ref(row["merchant_id"]),
        amount=row["amount"],
        kind=row["kind"],
        reference=row["reference"],
        note=row["note"],
        expires_at=row["expires_at"] or UNSET,
        level_id=ref(row["merchant_id"], row["level_id"]) if row["level_id"] else UNSET,
        by=ref(row["by"]) if market and row["by"] else UNSET,
    )


async def listed(tx: Tx, merchant_id: UUID, cursor: str | None, limit: int) -> Page[MemberOut]:
    """The members of a shop or of the market, newest first. Runs in the system scope. Raises `Invalid`."""
    before = decode_cursor(cursor, UUID) if cursor else None
    rows = await repository.members(tx, merchant_id, before, check_limit(limit) + 1)
    levels = await repository.levels(tx, merchant_id)
    return Page([_member(row, levels) for row in rows[:limit]], _page_end(rows, limit))


def _member(row: asyncpg.Record, levels: Sequence[asyncpg.Record]) -> MemberOut:
    grown = [level for level in levels if level["growth"] is not None]
    reached = [level["name"] for level in grown if level["growth"] <= row["growth"]]
    held = msgspec.json.decode(row["bought"], type=list[tuple[str, datetime]]) if row["bought"] else []
    market = row["merchant_id"] == MARKET_ID
    return MemberOut(
        id=ref(row["id"]),
        name=f"{(row['nickname'] or '')[:1]}**",
        growth=row["growth"],
        level=reached[-1] if reached else None,
        bought=[MemberLevel(*level) for level in held],
        joined_at=row["joined_at"],
        account_id=ref(row["account_id"]) if market else UNSET,
        points=(row["points"] or 0) if market else UNSET,
        debt=(row["debt"] or 0) if market else UNSET,
    )


async def account_of(tx: Tx, merchant_id: UUID, member_id: str) -> UUID:
    """Whose membership of the shop this is. In the system scope. Raises `NotFound`, also for another shop's member."""
    rows = await repository.members(tx, merchant_id, None, 1, member_id=parse_ref(member_id))
    if not rows:
        raise NotFound("There is no such member.")
    account_id: UUID = rows[0]["account_id"]
    return account_id


async def adjust_growth(
    tx: Tx, merchant_id: UUID, member_id: str, reference: str, data: GrowthIn, by: UUID
) -> MemberOut:
    """A shop's staff give or take growth in the shop, once for a reference. In the system scope.

    Raises `NotFound`, `Invalid`; `Conflict`: `growth_short`, `adjustment_differs`.
    """
    account_id = await account_of(tx, merchant_id, member_id)
    cause = f"staff:{merchant_id}:{_reference(reference)}:growth"
    book = (await books.opened(tx, [account_id], shops=[merchant_id], causes=[cause]))[account_id]
    entry = Entry(merchant_id, "growth", data.growth, "adjusted", cause, reference, data.reason, by)
    if not _done_before(book, [entry]):
        _change_growth(book, entry)
        await books.write(tx, [book])
    return await _one(tx, merchant_id, book.account_id)


async def adjust(tx: Tx, account_id: str, reference: str, data: AdjustIn, by: UUID) -> MemberOut:
    """The market's staff give or take points, growth in the market or both, once for a reference; whoever is no member yet
    becomes one. In the system scope.

    Raises `NotFound`, `Invalid`; `Conflict`: `points_short`, `growth_short`, `adjustment_differs`.
    """
    account = parse_ref(account_id)
    if not await repository.is_account(tx, account):
        raise NotFound("There is no such account.")
    cause = f"staff:{MARKET_ID}:{_reference(reference)}"
    ends = end_of_month(tx.now, tx.config(Config).points_months) if data.points > 0 else None
    points = Entry(
        MARKET_ID, "points", data.points, "adjusted", f"{cause}:points", reference, data.reason, by, ends
    )
    growth = Entry(
        MARKET_ID, "growth", data.growth, "adjusted", f"{cause}:growth", reference, data.reason, by
    )
    if not (data.points or data.growth):
        raise Invalid(
            "Nothing to do.", FieldError("points", "required", "Name points or growth, other than 0.")
        )
    book = (await books.opened(tx, [account], causes=[points.cause, growth.cause]))[account]
    if not _done_before(book, [points, growth]):
        _change_points(tx, book, points)
        _change_growth(book, growth)
        await books.write(tx, [book])
        await hold(tx, book.account_id, PLUGIN, None)
    return await _one(tx, MARKET_ID, book.account_id)


def _done_before(book: Book, entries: Sequence[Entry]) -> bool:
    """Whether these entries are written already. Raises `Conflict` if their reference was used for others."""
    if not any(entry.cause in book.causes for entry in entries):
        return False
    if any(book.causes.get(entry.cause, 0) != entry.amount for entry in entries):
        raise Conflict("This reference was used for another adjustment.", code="adjustment_differs")
    return True


def _change_points(tx: Tx, book: Book, entry: Entry) -> None:
    if entry.amount == 0:
        return
    if entry.expires_at is not None:
        book.purse.add(entry.amount, entry.expires_at)
    elif book.purse.spend(-entry.amount, tx.now) is None:
        there = book.purse.usable(tx.now)
        raise Conflict(f"The member has only {there} points.", code="points_short", points=there)
    book.note(entry)


def _change_growth(book: Book, entry: Entry) -> None:
    there = book.growth.get(entry.merchant_id, 0)
    if there + entry.amount < 0:
        raise Conflict(f"The member has only {there} growth.", code="growth_short", growth=there)
    book.grow(entry)


async def _one(tx: Tx, merchant_id: UUID, account_id: UUID) -> MemberOut:
    (row,) = await repository.members(tx, merchant_id, None, 1, account_id=account_id)
    return _member(row, await repository.levels(tx, merchant_id))


def _reference(text: str) -> str:
    if not 1 <= len(text) <= 64:
        raise Invalid("This reference cannot be.", FieldError("reference", "range", "1 to 64 characters."))
    return text


def _page_end(rows: Sequence[asyncpg.Record], limit: int) -> str | None:
    return encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
