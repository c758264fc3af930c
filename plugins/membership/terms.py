"""Levels that are bought: how their time adds up, and what a refund takes of it. Pure; amounts in fen."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple
from uuid import UUID

import msgspec

# China keeps one time in all its zones.
CHINA = timezone(timedelta(hours=8))
NEVER = datetime(9999, 12, 1, tzinfo=UTC)
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


def later(at: datetime, months: int) -> datetime:
    """So many calendar months in China after `at` (below 0: before), at the same hour of the same day, or of the month's
    last one."""
    here = at.astimezone(CHINA)
    year, month = divmod(here.year * 12 + here.month - 1 + months, 12)
    if not _EVER.year <= year < NEVER.year:
        return NEVER if months > 0 else _EVER
    day = min(here.day, monthrange(year, month + 1)[1])
    return here.replace(year=year, month=month + 1, day=day).astimezone(UTC)


class Term(msgspec.Struct):
    """An account's time of one level without a break: `months` from `since`, and `extra` seconds more."""

    merchant_id: UUID
    level_id: UUID
    since: datetime
    months: int
    extra: int = 0

    @property
    def until(self) -> datetime:
        """When the level ends."""
        end = later(self.since, self.months)
        return end if end == NEVER else end + timedelta(seconds=self.extra)


class Bought(msgspec.Struct):
    """Pieces of one line of an order that brought time of a level, each `months`; `pieces` are those that were not taken
    back, `since` says in which unbroken time they count."""

    line_id: UUID
    merchant_id: UUID
    level_id: UUID
    months: int
    pieces: int
    since: datetime


class Loss(NamedTuple):
    """Of the `days` between `start` and `end` that are taken back, `used` had begun already."""

    used: int
    days: int
    start: datetime
    end: datetime

    def worth(self, paid: int, saved: int) -> int:
        """What of `paid` is kept back: the used days' share, rounded up, or what they `saved` if that is more."""
        if not self.used:
            return 0
        return min(paid, max(-(-paid * self.used // self.days), saved))


Terms = dict[UUID, Term]


def gain(terms: Terms, bought: Bought, now: datetime) -> None:
    """Time comes: after what there is, from now on where nothing is left. Notes in `bought` where it counts."""
    term = terms.get(bought.level_id)
    if term is None or term.until <= now:
        term = terms[bought.level_id] = Term(bought.merchant_id, bought.level_id, now, 0)
    term.months += bought.months * bought.pieces
    bought.since = term.since


def lose(terms: Terms, bought: Bought, now: datetime) -> Loss:
    """Pieces are taken back: their time goes from the end of that in which they count. Of what is over already, all was
    used."""
    term = terms.get(bought.level_id)
    if term is None or term.since != bought.since:
        return Loss(1, 1, bought.since, bought.since)
    before = term.until
    term.months -= bought.months * bought.pieces
    return _loss(term.until, before, now)


def _loss(new: datetime, old: datetime, now: datetime) -> Loss:
    days = max(1, -((new - old) // _DAY))
    used = -((new - now) // _DAY) if now > new else 0
    return Loss(min(used, days), days, new, old)


def join(mine: Term | None, theirs: Term, now: datetime) -> Term:
    """One account's time when `theirs` comes to it: what is left of both, one after the other."""
    if mine is None or mine.until <= now:
        return msgspec.structs.replace(theirs)
    left = max(timedelta(), theirs.until - now)
    return msgspec.structs.replace(mine, extra=mine.extra + int(left.total_seconds()))
