"""The sandbox's books, by double entry. Every movement is an entry from one account to another, and no account but the
market's funds can go below 0, so all that buyers paid is always somewhere.

Accounts: `buyers` (less than 0 by what they paid), `funds` (the market's), `merchant:<id>`, `earner:<id>`, `bank:<id>` and
`leg:<payment>:<merchant>`, which holds a leg until it is finished. Ids are UUIDs as text; amounts in fen.
"""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID

import msgspec

from core.kit.clock import system_clock
from core.kit.errors import Conflict
from core.kit.ids import derived_id, new_id, ref
from core.sandbox.messages import (
    Bill,
    BillLine,
    Books,
    Done,
    FrozenLeg,
    LegOut,
    PaymentIn,
    PaymentOut,
)
from core.sandbox.store import Store

MARKET = "funds"
BUYERS = "buyers"
_CHINA = timezone(timedelta(hours=8))
_OPEN = """
insert into payment (account, id, provider_ref, amount, description, notify_url, status, created_at, expires_at)
values (?, ?, ?, ?, ?, ?, 'open', ?, ?) on conflict do nothing
"""
_LEGS = "insert into leg (account, payment_id, merchant_id, gateway_ref, amount) values (?, ?, ?, ?, ?)"
_CHANGE = """
insert into balance (account, name, amount) values (?, ?, ?)
on conflict (account, name) do update set amount = amount + excluded.amount
"""
_TAKE = "update balance set amount = amount - ? where account = ? and name = ? and amount >= ?"
_ENTRY = "insert into entry (account, kind, id, debit, credit, amount, at) values (?, ?, ?, ?, ?, ?, ?)"
_OPERATION = """
insert into operation (account, kind, id, payment_id, merchant_id, amount, advance, terms, status, asks, at)
values (?, ?, ?, ?, ?, ?, ?, ?, 'done', ?, ?)
"""
# From, to, fen.
Move = tuple[str, str, int]
Clock = Callable[[str], datetime]


class Account:
    """One market's books."""

    def __init__(self, store: Store, name: str, clock: Clock = lambda _: system_clock()) -> None:
        self.store, self.name, self._clock = store, name, clock

    def now(self) -> datetime:
        """The present of this market."""
        return self._clock(self.name)

    def open(self, order: PaymentIn) -> PaymentOut:
        """Open a payment, or give the one that is open. Raises `Conflict` (`payment_mismatch`)."""
        payment_id, legs = str(order.payment_id), {str(x.merchant_id): x.amount for x in order.legs}
        if len(legs) != len(order.legs) or sum(legs.values()) != order.amount:
            raise Conflict("The legs are not what the payment is.", code="payment_mismatch")
        with self.store.transaction():
            fresh = self.store.run(
                _OPEN,
                *(self.name, payment_id, ref(new_id()), order.amount, order.description, order.notify_url),
                *(stamp(self.now()), stamp(order.expires_at)),
            )
            if fresh:
                rows = [
                    (self.name, payment_id, merchant, ref(derived_id(order.payment_id, merchant)), amount)
                    for merchant, amount in legs.items()
                ]
                self.store.many(_LEGS, rows)
            found = self.payment(payment_id)
        assert found is not None
        if {str(x.merchant_id): x.amount for x in found.legs} != legs:
            raise Conflict("This payment is known with other amounts.", code="payment_mismatch")
        return found

    def payment(self, payment_id: str) -> PaymentOut | None:
        """How a payment stands; None for an unknown one."""
        with self.store.transaction():
            row = self.payment_row(payment_id)
            if row is None:
                return None
            legs = self.store.rows(
                "select l.*, coalesce(b.amount, 0) as frozen from leg l left join balance b on b.account = l.account"
                " and b.name = 'leg:' || l.payment_id || ':' || l.merchant_id"
                " where l.account = ? and l.payment_id = ? order by l.merchant_id",
                *(self.name, payment_id),
            )
        return PaymentOut(
            UUID(row["id"]),
            row["provider_ref"],
            row["amount"],
            row["status"],
            None if row["paid_at"] is None else moment(row["paid_at"]),
            [
                LegOut(
                    UUID(leg["merchant_id"]),
                    *(leg["amount"], leg["gateway_ref"], leg["refunded"], leg["frozen"]),
                    bool(leg["finished"]),
                )
                for leg in legs
            ],
        )

    def payment_row(self, payment_id: str) -> sqlite3.Row | None:
        """The row of a payment."""
        return self.store.row("select * from payment where account = ? and id = ?", self.name, payment_id)

    def pay(self, payment_id: str, *, late: bool = False) -> bool:
        """The buyer pays: every leg holds its amount. Whether that is new. A closed one is paid only if `late`.

        Raises `Conflict` (`payment_closed`).
        """
        with self.store.transaction():
            row = self.payment_row(payment_id)
            assert row is not None
            if row["status"] in ("paid", "refunded"):
                return False
            if row["status"] == "closed" and not late:
                raise Conflict("This payment was closed.", code="payment_closed")
            at = stamp(self.now())
            self.store.run(
                "update payment set status = 'paid', paid_at = ? where account = ? and id = ?",
                *(at, self.name, payment_id),
            )
            for leg in self.store.rows(
                "select merchant_id, amount from leg where account = ? and payment_id = ?",
                self.name,
                payment_id,
            ):
                # Two legs of one payment are two operations, so the merchant is part of the id.
                operation = f"{payment_id}:{leg['merchant_id']}"
                self.book("pay", operation, payment_id, leg["merchant_id"], leg["amount"])
                self.move(
                    *("pay", operation),
                    [(BUYERS, leg_account(payment_id, leg["merchant_id"]), leg["amount"])],
                )
        return True

    def close(self, payment_id: str) -> None:
        """Nobody can pay it any more; nothing for one that is paid."""
        self.store.run(
            "update payment set status = 'closed' where account = ? and id = ? and status = 'open'",
            *(self.name, payment_id),
        )

    def book(
        self,
        kind: str,
        operation_id: str,
        payment_id: str | None,
        merchant_id: str,
        amount: int,
        advance: int = 0,
        terms: str = "",
        asks: int = 0,
    ) -> None:
        """Keep that an operation was done."""
        self.store.run(
            _OPERATION,
            *(self.name, kind, operation_id, payment_id, merchant_id, amount, advance, terms),
            *(asks, stamp(self.now())),
        )

    def move(self, kind: str, operation_id: str, moves: Sequence[Move]) -> None:
        """Book movements. Raises `Conflict` (`not_enough`) when an account does not hold them."""
        at = stamp(self.now())
        for debit, credit, amount in moves:
            if amount == 0:
                continue
            if debit in (MARKET, BUYERS):
                self.store.run(_CHANGE, self.name, debit, -amount)
            elif not self.store.run(_TAKE, amount, self.name, debit, amount):
                raise Conflict("There is not as much there.", code="not_enough")
            self.store.run(_CHANGE, self.name, credit, amount)
            self.store.run(_ENTRY, self.name, kind, operation_id, debit, credit, amount, at)

    def balance(self, name: str) -> int:
        """What an account holds."""
        return (
            self.store.value("select amount from balance where account = ? and name = ?", self.name, name)
            or 0
        )

    def operation(self, kind: str, operation_id: str) -> sqlite3.Row | None:
        """An operation that was asked for before."""
        return self.store.row(
            "select * from operation where account = ? and kind = ? and id = ?", self.name, kind, operation_id
        )

    def standing(self, kind: str, operation_id: str) -> Done:
        """How an operation stands when the market asks: it is worked on until it was asked for often enough."""
        row = self.operation(kind, operation_id)
        assert row is not None
        if row["asks"] > 0:
            self.store.run(
                "update operation set asks = asks - 1 where account = ? and kind = ? and id = ?",
                *(self.name, kind, operation_id),
            )
            return Done("working")
        return Done(row["status"])

    def bill(self, day: date) -> Bill:
        """All operations of a day of UTC+8, oldest first."""
        begin = datetime(day.year, day.month, day.day, tzinfo=_CHINA)
        rows = self.store.rows(
            "select kind, coalesce(case when kind = 'pay' then payment_id end, id) as id, merchant_id, amount, advance, at"
            " from operation where account = ? and at >= ? and at < ? order by at, rowid",
            *(self.name, stamp(begin), stamp(begin + timedelta(days=1))),
        )
        lines = [
            BillLine(
                r["kind"], UUID(r["id"]), UUID(r["merchant_id"]), r["amount"], r["advance"], moment(r["at"])
            )
            for r in rows
        ]
        return Bill(day, lines)

    def books(self) -> Books:
        """All balances, those of 0 left out."""
        held: dict[str, dict[UUID, int]] = {"merchant": {}, "earner": {}, "bank": {}}
        frozen, buyers, funds = [], 0, 0
        for row in self.store.rows(
            "select name, amount from balance where account = ? and amount <> 0 order by name", self.name
        ):
            kind, *ids = row["name"].split(":")
            if kind == "leg":
                frozen.append(FrozenLeg(UUID(ids[0]), UUID(ids[1]), row["amount"]))
            elif kind == MARKET:
                funds = row["amount"]
            elif kind == BUYERS:
                buyers = -row["amount"]
            else:
                held[kind][UUID(ids[0])] = row["amount"]
        return Books(buyers, funds, held["merchant"], held["earner"], held["bank"], frozen)


def leg_account(payment_id: str, merchant_id: str) -> str:
    """The account that holds a leg until it is finished."""
    return f"leg:{payment_id}:{merchant_id}"


def stamp(at: datetime) -> int:
    """A time as it is kept: microseconds since 1970."""
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def moment(at: int) -> datetime:
    """A kept time."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)


def terms_of(*parts: object) -> str:
    """What an operation was asked for, to compare when it is asked for again."""
    return msgspec.json.encode(parts).decode()
