"""The terms that shops have set."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from core.api import Tx


class Terms(msgspec.Struct, frozen=True):
    """A fee in fen, and from which amount of goods on there is none."""

    fee: int
    free_from: int | None


async def terms(tx: Tx, merchant_ids: Sequence[UUID]) -> Mapping[UUID, Terms]:
    """The shops' own terms; a shop that has set none is left out."""
    rows = await tx.fetch(
        "select merchant_id, fee, free_from from express_delivery_shop where merchant_id = any($1::uuid[])",
        merchant_ids,
    )
    return {row["merchant_id"]: Terms(row["fee"], row["free_from"]) for row in rows}


async def save(tx: Tx, merchant_id: UUID, own: Terms) -> None:
    """Set a shop's terms."""
    await tx.execute(
        "insert into express_delivery_shop (merchant_id, fee, free_from) values ($1, $2, $3)"
        " on conflict (merchant_id) do update set fee = excluded.fee, free_from = excluded.free_from",
        merchant_id,
        own.fee,
        own.free_from,
    )
