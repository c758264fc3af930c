"""Points for other tools to hand out: the reference is how many, `"100"`."""

from collections.abc import Sequence
from uuid import UUID

from core.api import MARKET_ID, BenefitInfo, Deduction, Grant, Granted, Tx, hold_all
from plugins.membership import books
from plugins.membership.books import Entry
from plugins.membership.config import Config
from plugins.membership.purse import end_of_month
from plugins.membership.using import PLUGIN

MOST_POINTS = 1_000_000
MOST_QUANTITY = 1_000
_UNKNOWN = f"There are no such points to give away; name a number from 1 to {MOST_POINTS}."
_TOO_MANY = f"At most {MOST_QUANTITY} at a time."

_GRANTED = """
select amount, expires_at from membership_journal where kind = 'granted' and reference = $2
  and account_id = any(array(select $1::uuid union all
    select g.account_id from membership_account g where g.merged_into = $1))
"""


class PointsBenefits:
    """Hands points out for other plugins, in their transaction and the system scope."""

    async def describe(self, tx: Tx, references: Sequence[str]) -> Sequence[BenefitInfo]:  # noqa: ARG002
        """How many points each is; there are always some left."""
        return [
            BenefitInfo(text, f"{points} 积分", True)  # noqa: FBT003
            for text in dict.fromkeys(references)
            if (points := _points(text)) is not None
        ]

    async def grant(self, tx: Tx, grants: Sequence[Grant]) -> Sequence[Granted]:
        """Hand out, one answer for each grant. For a cause that had some of this reference, no more come."""
        sound = {grant.account_id for grant in grants if _refusal(grant) is None}
        causes = [_cause(grant) for grant in grants]
        found = await books.opened(tx, list(sound), causes=causes) if sound else {}
        ends = end_of_month(tx.now, tx.config(Config).points_months)
        answers: list[Granted] = []
        for grant, cause in zip(grants, causes, strict=True):
            refusal, size = _refusal(grant), _points(grant.reference)
            if refusal is not None or size is None:
                answers.append(Granted(0, refusal or _UNKNOWN))
                continue
            book = found[grant.account_id]
            if cause not in book.causes:
                points = size * grant.quantity
                book.purse.add(points, ends)
                book.note(Entry(MARKET_ID, "points", points, "granted", cause, grant.cause, expires_at=ends))
            answers.append(Granted(min(grant.quantity, book.causes[cause] // size)))
        await books.write(tx, found.values())
        if sound:
            await hold_all(tx, sorted({book.account_id for book in found.values()}), PLUGIN, None)
        return answers

    async def revoke(self, tx: Tx, account_id: UUID, cause: str) -> Sequence[Deduction]:
        """Take back what was granted for a cause and has not ended; what is spent is answered with its worth, once."""
        done = f"revoked:{cause}"
        book = (await books.opened(tx, [account_id], causes=[done], make=False)).get(account_id)
        if book is None or done in book.causes:
            return []
        rows = await tx.fetch(_GRANTED, book.account_id, cause)
        granted = sum(row["amount"] for row in rows if row["expires_at"] > tx.now)
        if not rows:
            return []
        there = min(book.purse.points, granted)
        book.purse.take(there)
        book.note(Entry(MARKET_ID, "points", -there, "revoked", done, cause))
        await books.write(tx, [book])
        spent = (granted - there) * tx.config(Config).fen_per_point
        return [Deduction(PLUGIN, "积分", spent, "market")] if spent else []


def _refusal(grant: Grant) -> str | None:
    if _points(grant.reference) is None or grant.quantity < 1:
        return _UNKNOWN
    return _TOO_MANY if grant.quantity > MOST_QUANTITY else None


def _points(reference: str) -> int | None:
    sound = reference.isascii() and reference.isdecimal() and len(reference) <= len(str(MOST_POINTS))
    return int(reference) if sound and reference[0] != "0" and int(reference) <= MOST_POINTS else None


def _cause(grant: Grant) -> str:
    return f"for:{grant.reference}:{grant.cause}"
