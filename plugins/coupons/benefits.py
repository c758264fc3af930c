"""Coupons for other tools to hand out: those of templates with claim gift, by the template's id as clients know it."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from core.api import BenefitInfo, Deduction, Grant, Granted, NotFound, Tx, parse_pair
from plugins.coupons import granting, handing
from plugins.coupons.claiming import WHY_NOT
from plugins.coupons.granting import Wanted
from plugins.coupons.handing import Key
from plugins.coupons.rules import Terms
from plugins.coupons.shown import not_handed_out

_UNKNOWN = "There is no such coupon to give away."


class CouponBenefits:
    """Hands coupons out for other plugins, in their transaction and the system scope."""

    async def describe(self, tx: Tx, references: Sequence[str]) -> Sequence[BenefitInfo]:
        """Name of each coupon, and whether there is one left; unknown ones are left out."""
        keys = {text: key for text in references if (key := _key(text)) is not None}
        rows = await handing.templates(tx, list(keys.values()))
        return [
            BenefitInfo(
                text,
                msgspec.json.decode(rows[key]["terms_json"], type=Terms).name,
                not_handed_out(rows[key], tx.now) is None,
            )
            for text, key in keys.items()
            if key in rows and rows[key]["claim"] == "gift"
        ]

    async def grant(self, tx: Tx, grants: Sequence[Grant]) -> Sequence[Granted]:
        """Hand out, one answer for each grant."""
        keys = [_key(grant.reference) for grant in grants]
        wanted = [
            Wanted(key, grant.account_id, _cause(grant.cause), grant.quantity)
            for grant, key in zip(grants, keys, strict=True)
            if key is not None
        ]
        outcomes = iter(await granting.hand_out(tx, wanted, "gift") if wanted else [])
        return [Granted(0, _UNKNOWN) if key is None else _granted(next(outcomes)) for key in keys]

    async def revoke(self, tx: Tx, account_id: UUID, cause: str) -> Sequence[Deduction]:
        """Void what is unused; the worth of what was used, once."""
        return await granting.revoke(tx, account_id, _cause(cause))


def _granted(outcome: granting.Outcome) -> Granted:
    return Granted(outcome.quantity, WHY_NOT.get(outcome.code, _UNKNOWN if outcome.code else ""))


def _cause(cause: str) -> str:
    return f"for:{cause}"


def _key(reference: str) -> Key | None:
    try:
        return parse_pair(reference)
    except NotFound:
        return None
