"""Categories: the market's tree, and each shop's own beside it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import UNSET

from core.catalog.rows import required_line
from core.catalog.schemas import CategoryIn, CategoryNode, CategoryOut, CategoryPatch, CategoryTree
from core.db.tx import Tx
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import new_id, parse_pair, parse_ref, ref

MAX_DEPTH = 5
MAX_SHOP_CATEGORIES = 200


async def tree(tx: Tx) -> CategoryTree:
    """The market's categories."""
    rows = await tx.fetch("select id, parent_id, name, position from category order by position, id")
    return _tree(rows, None)


async def create(tx: Tx, data: CategoryIn) -> CategoryOut:
    """A category of the market; its path runs from the root to itself. Raises `Invalid`, `Conflict` `name_taken`."""
    category_id, name = new_id(), required_line(data.name, "name")
    parent = _parent(data.parent_id)
    path: list[UUID] = []
    if parent is not None:
        found = await tx.fetchval("select path from category where id = $1 for key share", parent)
        path = _placed(found)
    row = await tx.fetchrow(
        """insert into category (id, parent_id, name, path, position, created_at) values ($1, $2, $3, $4, $5, $6)
        on conflict (parent_id, name) do nothing returning id, parent_id, name, position""",
        category_id, parent, name, [*path, category_id], data.position, tx.now,
    )  # fmt: skip
    if row is None:
        raise _name_taken(name)
    return _out(row, None)


def _placed(path: list[UUID] | None) -> list[UUID]:
    if path is None:
        raise _no_parent()
    if len(path) >= MAX_DEPTH:
        detail = f"Categories go {MAX_DEPTH} levels deep."
        raise Invalid(detail, FieldError("parent_id", "too_deep", detail))
    return path


async def change(tx: Tx, category_id: UUID, patch: CategoryPatch) -> CategoryOut:
    """Rename a category of the market or move it among its siblings. Raises `NotFound`, `Conflict` `name_taken`."""
    name, position = _patched(patch)
    try:
        row = await tx.fetchrow(
            """update category set name = coalesce($2, name), position = coalesce($3, position) where id = $1
            returning id, parent_id, name, position""",
            category_id, name, position,
        )  # fmt: skip
    except asyncpg.UniqueViolationError as error:
        raise _name_taken(name or "") from error
    if row is None:
        raise _unknown()
    return _out(row, None)


async def delete(tx: Tx, category_id: UUID) -> None:
    """Remove a category of the market that nothing is in. Raises `NotFound`, `Conflict` `category_in_use`."""
    row = await tx.fetchrow(
        """select exists (select from category where parent_id = $1)
            or exists (select from product where category_id = $1) as used
        from category where id = $1 for update""",
        category_id,
    )
    if row is None:
        raise _unknown()
    if row["used"]:
        raise Conflict("Products or other categories are still in it.", code="category_in_use")
    await tx.execute("delete from category where id = $1", category_id)


_SHOP_COLUMNS = "merchant_id, id, parent_id, name, position"


async def shop_tree(tx: Tx, merchant_id: UUID) -> CategoryTree:
    """A shop's own categories."""
    rows = await tx.fetch(
        f"select {_SHOP_COLUMNS} from shop_category where merchant_id = $1 order by position, id",  # noqa: S608
        merchant_id,
    )
    return _tree(rows, merchant_id)


async def create_shop(tx: Tx, merchant_id: UUID, data: CategoryIn) -> CategoryOut:
    """A category of the shop's own. Raises `Invalid`, `Conflict` `name_taken` or `too_many`."""
    category_id, name = new_id(), required_line(data.name, "name")
    parent = _own(merchant_id, data.parent_id) if data.parent_id is not None else None
    if data.parent_id is not None and parent is None:
        raise _no_parent()
    # One request of a shop at a time, so that two requests cannot both find a name or the last place free.
    await tx.execute(
        "select pg_advisory_xact_lock(hashtextextended('shop_category ' || $1, 0))", str(merchant_id)
    )
    rows = await tx.fetch("select id, parent_id, name from shop_category where merchant_id = $1", merchant_id)
    if len(rows) >= MAX_SHOP_CATEGORIES:
        raise Conflict(f"A shop has at most {MAX_SHOP_CATEGORIES} categories.", code="too_many")
    if any(row["parent_id"] == parent and row["name"] == name for row in rows):
        raise _name_taken(name)
    if parent is not None:
        _placed(_path(parent, {row["id"]: row["parent_id"] for row in rows}))
    row = await tx.fetchrow(
        f"""insert into shop_category (merchant_id, id, parent_id, name, position, created_at)
        values ($1, $2, $3, $4, $5, $6) returning {_SHOP_COLUMNS}""",  # noqa: S608
        merchant_id, category_id, parent, name, data.position, tx.now,
    )  # fmt: skip
    assert row is not None
    return _out(row, merchant_id)


def _path(category_id: UUID, parents: dict[UUID, UUID | None]) -> list[UUID] | None:
    if category_id not in parents:
        return None
    path: list[UUID] = []
    step: UUID | None = category_id
    while step is not None:
        path.append(step)
        step = parents[step]
    return path


async def change_shop(tx: Tx, merchant_id: UUID, category_id: UUID, patch: CategoryPatch) -> CategoryOut:
    """Rename one of the shop's own categories or move it among its siblings. Raises `NotFound`, `Conflict`."""
    name, position = _patched(patch)
    row = await tx.fetchrow(
        f"""update shop_category c set name = coalesce($3, name), position = coalesce($4, position)
        where merchant_id = $1 and id = $2 and not exists (select from shop_category o where o.merchant_id = $1
          and o.id <> $2 and o.parent_id is not distinct from c.parent_id and o.name = $3)
        returning {_SHOP_COLUMNS}""",  # noqa: S608
        merchant_id, category_id, name, position,
    )  # fmt: skip
    if row is None:
        there = await tx.fetchval(
            "select exists (select from shop_category where merchant_id = $1 and id = $2)",
            merchant_id,
            category_id,
        )
        raise _name_taken(name or "") if there else _unknown()
    return _out(row, merchant_id)


async def delete_shop(tx: Tx, merchant_id: UUID, category_id: UUID) -> None:
    """Remove one of the shop's own categories that nothing is in. Raises `NotFound`, `Conflict` `category_in_use`."""
    row = await tx.fetchrow(
        """select exists (select from shop_category where merchant_id = $1 and parent_id = $2)
            or exists (select from product where merchant_id = $1 and $2 = any(shop_category_ids)) as used
        from shop_category where merchant_id = $1 and id = $2 for update""",
        merchant_id, category_id,
    )  # fmt: skip
    if row is None:
        raise _unknown()
    if row["used"]:
        raise Conflict("Products or other categories are still in it.", code="category_in_use")
    await tx.execute("delete from shop_category where merchant_id = $1 and id = $2", merchant_id, category_id)


def own_category(merchant_id: UUID, text: str) -> UUID:
    """The id of one of the shop's own categories from the wire. Raises `NotFound`."""
    found = _own(merchant_id, text)
    if found is None:
        raise _unknown()
    return found


def _own(merchant_id: UUID, text: str) -> UUID | None:
    try:
        owner, key = parse_pair(text)
    except NotFound:
        return None
    return key if owner == merchant_id else None


def _parent(text: str | None) -> UUID | None:
    if text is None:
        return None
    try:
        return parse_ref(text)
    except NotFound:
        raise _no_parent() from None


def _patched(patch: CategoryPatch) -> tuple[str | None, int | None]:
    name = None if patch.name is UNSET else required_line(patch.name, "name")
    return name, None if patch.position is UNSET else patch.position


def _tree(rows: Sequence[asyncpg.Record], merchant_id: UUID | None) -> CategoryTree:
    below: dict[UUID | None, list[Any]] = defaultdict(list)
    for row in rows:
        below[row["parent_id"]].append(row)

    def node(row: asyncpg.Record) -> CategoryNode:
        out = _out(row, merchant_id)
        return CategoryNode(
            out.id, out.name, out.parent_id, out.position, [node(child) for child in below[row["id"]]]
        )

    return CategoryTree([node(row) for row in below[None]])


def _out(row: asyncpg.Record, merchant_id: UUID | None) -> CategoryOut:
    def wire(key: UUID) -> str:
        return ref(key) if merchant_id is None else ref(merchant_id, key)

    parent = row["parent_id"]
    return CategoryOut(wire(row["id"]), row["name"], wire(parent) if parent else None, row["position"])


def _unknown() -> NotFound:
    return NotFound("There is no such category.")


def _no_parent() -> Invalid:
    detail = "Use an id of this list of categories."
    return Invalid("No such parent category.", FieldError("parent_id", "unknown", detail))


def _name_taken(name: str) -> Conflict:
    return Conflict(f"There is already a category {name!r} at this place.", code="name_taken")
