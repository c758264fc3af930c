"""What lists show: the lowest group price of each product; kept for a moment, so that a page in the usual case asks the
database nothing."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from core.api import Badge, BadgePage, Remembered, Tx, format_yuan, ref
from plugins.group_buy import repository
from plugins.group_buy.rules import PRICE

PLUGIN = "group_buy"
MOST_ACTIVITIES = 1_000


class Running(NamedTuple):
    """An activity that runs: its lowest price, for groups of `size`."""

    id: UUID
    size: int
    price: int


Shelf = Mapping[UUID, Running]


class Badges:
    """The running activities of shops by product, up to 5 seconds old; one per plugin instance."""

    def __init__(self) -> None:
        self._shelves = Remembered[UUID, Shelf]()

    async def of(self, tx: Tx, page: BadgePage) -> list[Badge]:
        """One for each product that is in an activity; one statement for all shops that are not remembered, else none."""

        async def read(shops: Sequence[UUID]) -> Mapping[UUID, Shelf]:
            return await _read(tx, shops)

        shops = {product.merchant_id for product in page.products}
        shelves = await self._shelves.of(shops, read)
        found = []
        for product in page.products:
            running = shelves.get(product.merchant_id, {}).get(product.product_id)
            if running is not None:
                found.append(_badge(product.product_id, running))
        return found


def _badge(product_id: UUID, running: Running) -> Badge:
    text = f"{running.size}人团{format_yuan(running.price).removesuffix('.00')}元"
    return Badge(product_id, PLUGIN, PRICE, text, running.price, ref(running.id))


async def _read(tx: Tx, shops: Sequence[UUID]) -> dict[UUID, Shelf]:
    found: dict[UUID, dict[UUID, Running]] = {}
    for row in await repository.lowest(tx, shops, MOST_ACTIVITIES):
        shelf = found.setdefault(row["merchant_id"], {})
        running = Running(row["id"], row["size"], row["price"])
        other = shelf.get(row["product_id"])
        if other is None or (running.price, running.id) < (other.price, other.id):
            shelf[row["product_id"]] = running
    return dict(found)
