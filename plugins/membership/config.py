"""What the operator can set."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`merchants_may_define`: shops have levels of their own. `earn_at`: when an order brings points and growth, once the
    buyer has it (`completed`) or once nobody can claim its money back (`released`). `points_per_yuan` and `growth_per_yuan`:
    how many for each yuan that was paid for goods. `fen_per_point`: what a point is worth at checkout. `points_max_bp` and
    `points_max_fen`: the most that points pay of one purchase, as a share of its goods and in fen (null: no such limit).
    `points_months`: points end with the month that comes so many months after the one in which they were earned (null:
    never). `grace_days`: how long points last at least that come back with a refund. `bought_at`: when an order brings the
    levels that are bought with it, once it is `paid` or once it is `completed`."""

    merchants_may_define: bool = True
    earn_at: Literal["completed", "released"] = "completed"
    points_per_yuan: Annotated[int, Meta(ge=0, le=1_000)] = 1
    growth_per_yuan: Annotated[int, Meta(ge=0, le=1_000)] = 1
    fen_per_point: Annotated[int, Meta(ge=1, le=10_000)] = 1
    points_max_bp: Annotated[int, Meta(ge=0, le=10_000)] = 5_000
    points_max_fen: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None
    points_months: Annotated[int, Meta(ge=1, le=120)] | None = 12
    grace_days: Annotated[int, Meta(ge=0, le=365)] = 30
    bought_at: Literal["paid", "completed"] = "paid"
