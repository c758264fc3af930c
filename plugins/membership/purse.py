"""An account's points, and what an order used and brought of them. Pure; points are whole numbers, amounts fen."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from plugins.membership.terms import CHINA, NEVER, Bought

# Points of one end: (when they end, how many).
Part = tuple[datetime, int]


def end_of_month(now: datetime, months: int | None) -> datetime:
    """When the month ends in China that comes `months` after the present one; `NEVER` for None."""
    if months is None:
        return NEVER
    here = now.astimezone(CHINA)
    year, month = divmod(here.year * 12 + here.month - 1 + months + 1, 12)
    return datetime(year, month + 1, 1, tzinfo=CHINA).astimezone(UTC)


def end_of_day(now: datetime, days: int) -> datetime:
    """When the day ends in China that comes `days` after the present one."""
    here = now.astimezone(CHINA) + timedelta(days=days + 1)
    return here.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


class Purse:
    """Points and debt of an account; `lots` are the points by when they end. Never both points and debt."""

    __slots__ = ("debt", "lots", "points")

    def __init__(self, points: int = 0, debt: int = 0, lots: Iterable[Part] = ()) -> None:
        self.points, self.debt, self.lots = points, debt, dict(lots)

    @property
    def net(self) -> int:
        """Points less debt: what the journal sums up to."""
        return self.points - self.debt

    def usable(self, now: datetime) -> int:
        """Points that can be spent now."""
        return sum(points for ends, points in self.lots.items() if ends > now)

    def add(self, points: int, ends: datetime) -> None:
        """Points come: they pay the debt first."""
        paid = min(self.debt, points)
        self.debt -= paid
        if points > paid:
            self.points += points - paid
            self.lots[ends] = self.lots.get(ends, 0) + points - paid

    def spend(self, points: int, now: datetime) -> list[Part] | None:
        """Use points, those first that end first; None, and nothing changes, when there are not so many."""
        if self.usable(now) < points:
            return None
        return self._draw(points, [ends for ends in sorted(self.lots) if ends > now])

    def take(self, points: int) -> int:
        """Take points back; what is not there any more becomes debt. The answer is that part."""
        there = min(self.points, points)
        self._draw(there, sorted(self.lots))
        self.debt += points - there
        return points - there

    def expire(self, now: datetime) -> list[Part]:
        """Points that have ended go."""
        gone = [(ends, points) for ends, points in sorted(self.lots.items()) if ends <= now and points]
        for ends, points in gone:
            self.lots[ends] = 0
            self.points -= points
        return gone

    def empty(self) -> list[Part]:
        """All points and the debt go elsewhere; the answer is the points."""
        gone = [(ends, points) for ends, points in self.lots.items() if points]
        self.points = self.debt = 0
        self.lots = dict.fromkeys(self.lots, 0)
        return gone

    def _draw(self, points: int, order: Iterable[datetime]) -> list[Part]:
        parts: list[Part] = []
        self.points -= points
        for ends in order:
            part = min(points, self.lots[ends])
            if part:
                self.lots[ends] -= part
                parts.append((ends, part))
                points -= part
        assert points == 0
        return parts


class OrderPoints(msgspec.Struct, kw_only=True):
    """What an order used and brought, points and time of levels; the columns of `membership_order`."""

    order_id: UUID
    merchant_id: UUID
    trade_id: UUID
    used_points: int = 0
    used_fen: int = 0
    parts: list[Part] = []
    refunds: dict[str, int] = {}
    back_points: int = 0
    closed: bool = False
    base_fen: int = 0
    kept_fen: int = 0
    points_per_yuan: int = 0
    growth_per_yuan: int = 0
    points: int = 0
    growth: int = 0
    earned_at: datetime | None = None
    ends_at: datetime | None = None
    bought: list[Bought] = []

    def give_up(self) -> int:
        """The order is closed: all it used comes back. The answer is how many points."""
        if self.closed:
            return 0
        self.closed = True
        return self._back(self.used_points)

    def refunded(self, refund: str, fen: int, *, whole: bool) -> int:
        """A refund takes back `fen` of what points had paid, or with the `whole` order all of it. The answer is how many
        points come back: in proportion to all refunds so far, rounded down. The same refund again changes nothing."""
        if refund in self.refunds:
            return 0
        before = sum(self.refunds.values())
        fen = self.used_fen - before if whole else min(fen, self.used_fen - before)
        self.refunds = {**self.refunds, refund: fen}
        return self._back(self.used_points * (before + fen) // self.used_fen if self.used_fen else 0)

    def coming_back(self, points: int, least: datetime | None) -> list[Part]:
        """The last `points` of those given back, by when they end, the latest first: as before they were used, but not
        before `least`."""
        skip = self.back_points - points
        found: list[Part] = []
        for ends, size in reversed(self.parts):
            passed = min(skip, size)
            part = min(points, size - passed)
            skip -= passed
            points -= part
            if part:
                found.append((ends if least is None else max(ends, least), part))
        return found

    def earn(
        self, paid: int, points_per_yuan: int, growth_per_yuan: int, now: datetime, ends: datetime
    ) -> None:
        """The order brings growth, and points that end at `ends`, for the `paid` fen of its goods."""
        self.base_fen = self.kept_fen = paid
        self.points_per_yuan, self.growth_per_yuan = points_per_yuan, growth_per_yuan
        self.earned_at, self.ends_at = now, ends
        self.points, self.growth = paid * points_per_yuan // 100, paid * growth_per_yuan // 100

    def keep(self, kept: int, now: datetime) -> tuple[int, int]:
        """After a refund `kept` fen of paid goods stay: the answer is how many points and how much growth go. Refunds may
        come in any order and again; the least that stays counts. Points that have ended are gone already."""
        if self.earned_at is None or self.ends_at is None or kept >= self.kept_fen:
            return 0, 0
        points, growth = self.points, self.growth
        self.kept_fen = max(0, kept)
        self.points = self.kept_fen * self.points_per_yuan // 100
        self.growth = self.kept_fen * self.growth_per_yuan // 100
        return points - self.points if self.ends_at > now else 0, growth - self.growth

    def stay(self, kept: Mapping[UUID, int]) -> list[Bought]:
        """After a refund so many units of each line stay (of others none): the answer is the pieces that go, of those that
        brought a level. Refunds may come in any order and again; the least that stays counts."""
        gone = []
        for line in self.bought:
            left = min(line.pieces, kept.get(line.line_id, 0))
            if left < line.pieces:
                gone.append(msgspec.structs.replace(line, pieces=line.pieces - left))
                line.pieces = left
        return gone

    def _back(self, target: int) -> int:
        more = max(0, target - self.back_points)
        self.back_points += more
        return more


def split(parts: Sequence[Part], shares: Sequence[int]) -> list[list[Part]]:
    """Lots that were drawn for a whole purchase, over its orders: the first order gets those that end first."""
    rest = deque(parts)
    found: list[list[Part]] = []
    for share in shares:
        mine: list[Part] = []
        while share:
            ends, size = rest.popleft()
            part = min(share, size)
            mine.append((ends, part))
            share -= part
            if size > part:
                rest.appendleft((ends, size - part))
        found.append(mine)
    return found
