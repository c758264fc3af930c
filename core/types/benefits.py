"""What tools hand out through each other without knowing each other: coupons, points, gifts.

A plugin offers a provider under its name in `Plugin.benefits`; another finds it with `tx.snapshot.benefit(key)`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import msgspec

from core.types.orders import Deduction

if TYPE_CHECKING:
    from core.db.tx import Tx


class BenefitInfo(msgspec.Struct, frozen=True):
    """What a provider hands out under `reference`, for people; `available` when there is some left to hand out."""

    reference: str
    title: str
    available: bool


class Grant(msgspec.Struct, frozen=True):
    """Hand `quantity` of `reference` to an account. `cause` says why, the same for the same grant: one that was made
    before is not made again."""

    account_id: UUID
    reference: str
    cause: str
    quantity: int = 1


class Granted(msgspec.Struct, frozen=True):
    """What came of a grant: how many were handed out now or before, and why not all."""

    quantity: int
    reason: str = ""


class BenefitProvider(Protocol):
    """Hands out one sort of benefit, in the caller's transaction and the system scope."""

    async def describe(self, tx: "Tx", references: Sequence[str]) -> Sequence[BenefitInfo]:
        """What these references mean; unknown ones are left out."""

    async def grant(self, tx: "Tx", grants: Sequence[Grant]) -> Sequence[Granted]:
        """Hand out, one answer for each grant; what is sold out or unknown is answered with 0 and a reason."""

    async def revoke(self, tx: "Tx", account_id: UUID, cause: str) -> Sequence[Deduction]:
        """Take back what was handed out for `cause`; harmless to repeat. The answer is the worth of what was used up
        already."""
