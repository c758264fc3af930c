"""What a market can have done with money that the sandbox holds. Each is idempotent by the id that the market gave; one that
is known with other amounts is refused, and so is one that would take more than there is."""

import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from core.kit.errors import Conflict
from core.kit.ids import MARKET_ID
from core.sandbox.books import BUYERS, MARKET, Account, Move, leg_account, stamp, terms_of
from core.sandbox.messages import Done, FinishIn, PayoutIn, RefundIn, SplitIn, SplitReturnIn, SubsidyIn

_LEG = """
select l.*, p.status from leg l join payment p on p.account = l.account and p.id = l.payment_id
where l.account = ? and l.payment_id = ? and l.merchant_id = ? and p.status in ('paid', 'refunded')
"""
_NOTHING = """
insert into payment (account, id, provider_ref, amount, description, notify_url, status, created_at, expires_at, paid_at)
values (?, ?, ?, 0, '', '', 'paid', ?, ?, ?) on conflict do nothing
"""
_EMPTY_LEG = """
insert into leg (account, payment_id, merchant_id, gateway_ref, amount) values (?, ?, ?, ?, 0) on conflict do nothing
"""
_REFUNDED = """
update payment set status = 'refunded' where account = ? and id = ?
  and not exists (select 1 from leg l where l.account = payment.account and l.payment_id = payment.id
    and l.refunded < l.amount)
"""


class Asked(msgspec.Struct, frozen=True):
    """An operation as it is booked; `terms` must be the same when it comes again."""

    kind: str
    id: str
    payment_id: str | None
    merchant_id: str
    amount: int
    advance: int
    terms: str
    mismatch: str


class Operations:
    """The operations on one market's books; `working` is how often each is answered as still being worked on."""

    def __init__(self, books: Account, working: int = 0) -> None:
        self.books, self._working = books, working

    def refund(self, order: RefundIn) -> Done:
        """Raises `Conflict`: `refund_exceeds_payment`, `refund_mismatch`, `not_enough`."""
        asked = Asked(
            *("refund", str(order.id), str(order.payment_id), str(order.merchant_id)),
            *(order.amount, order.advance, _terms(order)),
            "refund_mismatch",
        )

        def moves() -> list[Move]:
            leg = self._leg(asked, "refund_exceeds_payment")
            if order.amount > leg["amount"] - leg["refunded"]:
                raise Conflict("More than is left of this payment.", code="refund_exceeds_payment")
            self._add(asked, "refunded", order.amount)
            self.books.store.run(_REFUNDED, self.books.name, asked.payment_id)
            own = _own(order.amount, order.advance)
            return [(_holder(leg), BUYERS, own), (MARKET, BUYERS, order.advance)]

        return self._once(asked, moves)

    def subsidise(self, order: SubsidyIn) -> Done:
        """Raises `Conflict`: `subsidy_mismatch`, `not_enough`, and `finished` for money that comes too late."""
        kind, merchant_id = "return_subsidy" if order.back else "subsidise", str(order.merchant_id)
        asked = Asked(
            *(kind, str(order.id), str(order.payment_id), merchant_id, order.amount, order.advance),
            *(_terms(order), "subsidy_mismatch"),
        )

        def moves() -> list[Move]:
            if not order.back:
                self._begin(asked)
            leg = self._leg(asked)
            if not order.back:
                if leg["finished"]:
                    raise Conflict("This leg is finished.", code="finished")
                self._add(asked, "subsidised", order.amount)
                return [(MARKET, _holder(leg), order.amount)]
            if order.amount > leg["subsidised"]:
                raise Conflict("There is not as much of the market's in this leg.", code="not_enough")
            self._add(asked, "subsidised", -order.amount)
            return [(_holder(leg), MARKET, _own(order.amount, order.advance))]

        return self._once(asked, moves)

    def split(self, order: SplitIn) -> Done:
        """Raises `Conflict`: `split_mismatch`, `not_enough`, `finished`."""
        shares = sorted((str(s.owner_id), s.amount) for s in order.shares)
        asked = Asked(
            *("split", str(order.id), str(order.payment_id), str(order.merchant_id)),
            *(sum(amount for _, amount in shares), 0),
            *(terms_of(str(order.payment_id), str(order.merchant_id), shares), "split_mismatch"),
        )

        def moves() -> list[Move]:
            leg = self._leg(asked)
            if leg["finished"]:
                raise Conflict("This leg is finished.", code="finished")
            self._add(asked, "shared", sum(s.amount for s in order.shares if s.owner_id == MARKET_ID))
            return [
                (_holder(leg), MARKET if owner == str(MARKET_ID) else f"earner:{owner}", amount)
                for owner, amount in shares
            ]

        return self._once(asked, moves)

    def return_split(self, order: SplitReturnIn) -> Done:
        """Raises `Conflict`: `split_mismatch`, `not_enough`."""
        asked = Asked(
            *("return_split", str(order.id), str(order.payment_id), str(order.merchant_id), order.amount, 0),
            *(terms_of(str(order.payment_id), str(order.merchant_id), order.amount), "split_mismatch"),
        )

        def moves() -> list[Move]:
            leg = self._leg(asked)
            if order.amount > leg["shared"]:
                raise Conflict("The market has not got as much of this leg.", code="not_enough")
            self._add(asked, "shared", -order.amount)
            return [(MARKET, _holder(leg), order.amount)]

        return self._once(asked, moves)

    def finish(self, order: FinishIn) -> Done:
        """Raises `Conflict`: `not_enough` for a leg that was not paid, `finish_mismatch`."""
        payment_id, merchant_id = str(order.payment_id), str(order.merchant_id)
        with self.books.store.transaction():
            held = self.books.balance(leg_account(payment_id, merchant_id))
            terms = terms_of(payment_id, merchant_id)
            asked = Asked("finish", str(order.id), payment_id, merchant_id, held, 0, terms, "finish_mismatch")
            leg, known = self._leg(asked), self.books.operation("finish", asked.id)
            if known is not None and known["terms"] != terms:
                raise Conflict("This id is known for another leg.", code=asked.mismatch)
            if not leg["finished"]:
                self.books.store.run(
                    "update leg set finished = 1 where account = ? and payment_id = ? and merchant_id = ?",
                    *(self.books.name, payment_id, merchant_id),
                )
                self._book(asked, [(_holder(leg), f"merchant:{merchant_id}", held)])
                return self.books.standing("finish", asked.id)
            return Done("done") if known is None else self.books.standing("finish", asked.id)

    def pay_out(self, order: PayoutIn) -> Done:
        """Raises `Conflict`: `payout_mismatch`, `not_enough`."""
        merchant = str(order.merchant_id)
        asked = Asked(
            *("pay_out", str(order.id), None, merchant, order.amount, order.recovered),
            *(terms_of(merchant, order.amount, order.recovered), "payout_mismatch"),
        )
        holder = f"merchant:{merchant}"
        return self._once(
            asked,
            lambda: [(holder, f"bank:{merchant}", order.amount), (holder, MARKET, order.recovered)],
        )

    def return_payout(self, payout_id: str) -> None:
        """The bank sends a payout back; nothing for one that it sent back before. The market keeps what it recovered.
        Raises `Conflict` (`not_enough`) for an unknown one."""
        with self.books.store.transaction():
            row = self.books.operation("pay_out", payout_id)
            if row is None:
                raise Conflict("No such payout.", code="not_enough")
            if row["status"] == "returned":
                return
            self.books.store.run(
                "update operation set status = 'returned' where account = ? and kind = 'pay_out' and id = ?",
                *(self.books.name, payout_id),
            )
            merchant = row["merchant_id"]
            self.books.book("payout_returned", payout_id, None, merchant, row["amount"])
            self.books.move(
                *("payout_returned", payout_id), [(f"bank:{merchant}", f"merchant:{merchant}", row["amount"])]
            )

    def _once(self, asked: Asked, moves: Callable[[], Sequence[Move]]) -> Done:
        """Book it unless it is booked, and say how it stands."""
        with self.books.store.transaction():
            known = self.books.operation(asked.kind, asked.id)
            if known is None:
                self._book(asked, moves())
            elif known["terms"] != asked.terms:
                raise Conflict("This id is known with other amounts.", code=asked.mismatch)
            return self.books.standing(asked.kind, asked.id)

    def _book(self, asked: Asked, moves: Sequence[Move]) -> None:
        self.books.book(
            *(asked.kind, asked.id, asked.payment_id, asked.merchant_id, asked.amount, asked.advance),
            *(asked.terms, self._working),
        )
        self.books.move(asked.kind, asked.id, moves)

    def _begin(self, asked: Asked) -> None:
        """A leg that the buyer paid nothing for begins with the market's money; so does a payment of nothing."""
        at = stamp(self.books.now())
        self.books.store.run(_NOTHING, self.books.name, asked.payment_id, asked.id, at, at, at)
        self.books.store.run(_EMPTY_LEG, self.books.name, asked.payment_id, asked.merchant_id, asked.id)

    def _leg(self, asked: Asked, code: str = "not_enough") -> sqlite3.Row:
        leg = self.books.store.row(_LEG, self.books.name, asked.payment_id, asked.merchant_id)
        if leg is None:
            raise Conflict("Nothing was paid here.", code=code)
        return leg

    def _add(self, asked: Asked, column: str, amount: int) -> None:
        self.books.store.run(
            f"update leg set {column} = {column} + ? where account = ? and payment_id = ? and merchant_id = ?",  # noqa: S608
            *(amount, self.books.name, asked.payment_id, asked.merchant_id),
        )


def _holder(leg: sqlite3.Row) -> str:
    """Who has what is left of a leg: the service, or once it is finished its merchant."""
    merchant: str = leg["merchant_id"]
    return f"merchant:{merchant}" if leg["finished"] else leg_account(leg["payment_id"], merchant)


def _terms(order: RefundIn | SubsidyIn) -> str:
    return terms_of(str(order.payment_id), str(order.merchant_id), order.amount, order.advance)


def _own(amount: int, advance: int) -> int:
    """What is not advanced. Raises `Conflict` (`not_enough`) for an advance above the amount."""
    if advance > amount:
        raise Conflict("More is advanced than is wanted.", code="not_enough")
    return amount - advance
