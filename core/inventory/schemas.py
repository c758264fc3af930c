"""What stock routes take and give. Quantities in pieces."""

from typing import Annotated

from msgspec import Meta, Struct


class StockMoveIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A correction of what is on hand, up or down."""

    sku_id: Annotated[str, Meta(max_length=100)]
    delta: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]
    reason: Annotated[str, Meta(max_length=200)]


class StockOut(Struct, frozen=True):
    """One SKU's stock; `available = on_hand - reserved`."""

    sku_id: str
    product_id: str
    title: str
    specs: dict[str, str]
    code: str | None
    on_hand: int
    reserved: int
    available: int
