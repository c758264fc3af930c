"""A payment service's bill of a day against our own books: whether each movement of money is on both sides, with the same
amount.

Days are of UTC+8. Clocks differ, and a call may be done there before midnight and known here after it, so a movement of
ours is looked for on all days from when it was decided to when it was done, and one of theirs whenever we had it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Literal
from uuid import UUID

import msgspec

from core.kit.errors import FieldError, Invalid, NotFound
from core.kit.ids import parse_ref
from core.payment import reconcile_rows, registry
from core.payment.provider import BillRow, Outside, PaymentProvider
from core.payment.reconcile_rows import Movement
from core.types.scope import PLATFORM

CHINA = timezone(timedelta(hours=8))
_DAY = timedelta(days=1)
# By as much both clocks may differ, and as long a notification may take.
TOLERANCE = timedelta(minutes=15)
# Bills beside the day's own, the nearest first.
_MOST_BILLS = 31

Problem = Literal["missing_here", "missing_there", "amount_differs", "open"]
Key = tuple[str, str, UUID]
ORDER: Mapping[str, int] = {"amount_differs": 0, "missing_here": 1, "missing_there": 2, "open": 3}


class Side(msgspec.Struct, frozen=True):
    """A movement as one side has it; `advance` is what of it was the market's own, of a payout what more the market got."""

    amount: int
    advance: int
    at: datetime


class Difference(msgspec.Struct, frozen=True):
    """What is not the same on both sides. `open` is nothing wrong: asked for and not known to be done."""

    problem: Problem
    provider: str
    kind: str
    reference: str
    merchant_id: UUID
    here: Side | None
    there: Side | None


class Reconciliation(msgspec.Struct, frozen=True):
    """A day: how many movements agree, and what does not, what is wrong first."""

    day: date
    agreed: int
    differences: Sequence[Difference]

    @property
    def wrong(self) -> int:
        """How many differences there are that are not only open."""
        return sum(found.problem != "open" for found in self.differences)


async def reconcile(outside: Outside, day: date, now: datetime, key: str | None = None) -> Reconciliation:
    """Compare a day with the provider `key`, or with all. No transaction is open while a provider is asked.

    Raises `Invalid` for a day to come or an unknown provider; `Unavailable`.
    """
    if day > _day(now):
        raise Invalid("This day is to come.", FieldError("day", "future", "Name a day up to today."))
    known = registry.providers(outside.env)
    wanted = known.values() if key is None else [registry.chosen(outside.env, key)]
    agreed, found = 0, list[Difference]()
    for provider in wanted:
        more, differences = await _with(outside, provider, day, now)
        agreed, found = agreed + more, found + differences
    found.sort(key=lambda d: (ORDER[d.problem], d.provider, d.kind, d.reference))
    return Reconciliation(day, agreed, found)


async def _with(
    outside: Outside, provider: PaymentProvider, day: date, now: datetime
) -> tuple[int, list[Difference]]:
    begin = datetime(day.year, day.month, day.day, tzinfo=CHINA)
    # Ours first: what is done here by now is on the bill by then.
    async with outside.new_tx(PLATFORM) as tx:
        ours = {_key(m): m for m in await reconcile_rows.between(tx, provider.key, begin, begin + _DAY)}
    bills = {day: await provider.bill(outside, day)}
    strange = _ids(row for row in bills[day] if _key(row) not in ours)
    async with outside.new_tx(PLATFORM) as tx:
        ours.update((_key(m), m) for m in await reconcile_rows.known(tx, provider.key, strange))
    for other in _days(ours.values(), day, _day(now)):
        bills[other] = await provider.bill(outside, other)
    compared = Compared(provider.key, day, now)
    compared.all(ours, [row for rows in bills.values() for row in rows])
    return compared.agreed, compared.found


class Compared:
    """Finds what differs on a day; `rows` of other days are there to be matched only."""

    def __init__(self, provider: str, day: date, now: datetime) -> None:
        self._provider, self._day, self._now = provider, day, now
        self.agreed, self.found = 0, list[Difference]()

    def all(self, ours: Mapping[Key, Movement], rows: Iterable[BillRow]) -> None:
        """Compare everything; what moved nothing is left out on both sides."""
        theirs: dict[Key, list[BillRow]] = {}
        for row in sorted(rows, key=lambda row: row.at):
            if row.amount or row.advance:
                theirs.setdefault(_key(row), []).append(row)
        for key, mine in ours.items():
            if mine.amount or mine.advance or key in theirs:
                self._one(mine, theirs.pop(key, []))
        for left in theirs.values():
            self._unknown(left, None)

    def _one(self, mine: Movement, rows: Sequence[BillRow]) -> None:
        if mine.done is None and mine.kind == "pay":
            self._unknown(rows, mine)
            return
        row = rows[0] if rows else None
        # The service booked it more than once.
        self._unknown(rows[1:], None)
        if not self._is_of_day(mine.done or mine.begun) and (row is None or not self._is_of_day(row.at)):
            return
        if mine.done is None:
            self._tell("open", mine, row)
        elif row is None:
            self._tell("missing_there", mine, None)
        elif (mine.amount, mine.advance) != (row.amount, row.advance):
            self._tell("amount_differs", mine, row)
        else:
            self.agreed += 1

    def _unknown(self, rows: Sequence[BillRow], unpaid: Movement | None) -> None:
        """Booked there and not here; the news of a payment may still be on its way."""
        for row in rows:
            if self._is_of_day(row.at):
                coming = unpaid is not None and row.at > self._now - TOLERANCE
                self._tell("open" if coming else "missing_here", unpaid if coming else None, row)

    def _is_of_day(self, at: datetime) -> bool:
        return _day(at) == self._day

    def _tell(self, problem: Problem, mine: Movement | None, row: BillRow | None) -> None:
        either = mine or row
        assert either is not None, "a difference is one of something"
        here = None if mine is None else Side(mine.amount, mine.advance, mine.done or mine.begun)
        there = None if row is None else Side(row.amount, row.advance, row.at)
        self.found.append(Difference(problem, self._provider, *_key(either), here, there))


def _key(of: Movement | BillRow) -> Key:
    return of.kind, of.reference, of.merchant_id


def _day(at: datetime) -> date:
    return at.astimezone(CHINA).date()


def _ids(rows: Iterable[BillRow]) -> list[tuple[UUID, UUID]]:
    """(merchant, id) of rows; a reference that is none of ours is left out."""
    found = []
    for row in rows:
        try:
            found.append((row.merchant_id, parse_ref(row.reference)))
        except NotFound:
            continue
    return found


def _days(ours: Iterable[Movement], day: date, last: date) -> list[date]:
    """The other days on which these may have been booked, the nearest first."""
    spans = {(_day(m.begun - TOLERANCE), _day((m.done or m.begun) + TOLERANCE)) for m in ours}
    near = [day + way * timedelta(days=n) for n in range(1, _MOST_BILLS + 1) for way in (-1, 1)]
    return [d for d in near if d <= last and any(begin <= d <= end for begin, end in spans)][:_MOST_BILLS]
