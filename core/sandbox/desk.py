"""Where one market is served: its books, how the service behaves towards it, and its notifications."""

from uuid import UUID

from core.kit.errors import Conflict, NotFound
from core.sandbox.behaviour import Temper, Tempers
from core.sandbox.books import Account
from core.sandbox.messages import Done, PaymentOut, PayOut, PayoutIn
from core.sandbox.notifier import Notifier
from core.sandbox.operations import Operations


class Desk:
    """One market's. Raises what the books raise, `NotFound` for an unknown payment."""

    def __init__(self, books: Account, tempers: Tempers, notifier: Notifier) -> None:
        self.books, self.tempers, self.notifier = books, tempers, notifier

    @property
    def temper(self) -> Temper:
        """How the service behaves now."""
        return self.tempers.of(self.books.name)

    @property
    def operations(self) -> Operations:
        """What can be done with money that is held."""
        return Operations(self.books, self.temper.is_.working)

    def payment(self, payment_id: UUID) -> PaymentOut:
        """How a payment stands. Raises `NotFound`."""
        found = self.books.payment(str(payment_id))
        if found is None:
            raise NotFound("The sandbox knows no such payment.")
        return found

    def close(self, payment_id: UUID) -> PaymentOut:
        """Make an open payment unpayable; how it stands afterwards. Raises `NotFound`."""
        self.books.close(str(payment_id))
        return self.payment(payment_id)

    async def pay(self, payment_id: UUID, *, notify: bool = True, late: bool = False) -> PayOut:
        """The buyer pays; told to the market before this answers, unless it behaves otherwise. Paying again is the same and
        sends what the market has not acknowledged. Raises `NotFound`, `Conflict` (`payment_closed`)."""
        self.payment(payment_id)
        key = str(payment_id)
        with self.books.store.transaction():
            fresh = self.books.pay(key, late=late)
            if fresh:
                self.notifier.add(self.books, key, self.temper, lost=not notify)
        account = self.books.name
        if notify and not self.notifier.acknowledged(account, key):
            await self.notifier.tell(account, key, early=not fresh)
        return PayOut("paid", self.notifier.acknowledged(account, key))

    async def tell_again(self, payment_id: UUID) -> None:
        """Tell the market once more that a payment was captured. Raises `NotFound`, `Conflict` (`not_paid`)."""
        if self.payment(payment_id).paid_at is None:
            raise Conflict("This payment was not paid.", code="not_paid")
        with self.books.store.transaction():
            self.notifier.add(self.books, str(payment_id), self.temper)
        await self.notifier.tell(self.books.name, str(payment_id))

    def pay_out(self, order: PayoutIn) -> Done:
        """Send money to a bank, which may send it back. Raises `Conflict`."""
        with self.books.store.transaction():
            fresh = self.books.operation("pay_out", str(order.id)) is None
            found = self.operations.pay_out(order)
            if fresh and self.temper.falls(self.temper.is_.payouts_returned):
                self.operations.return_payout(str(order.id))
                return found if found.status == "working" else Done("returned")
        return found
