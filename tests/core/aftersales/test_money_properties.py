"""Whatever happens to orders of a shop, in whatever order: no account runs below zero, every fen is in one place, and once
all calls are done the cash is what is owed."""

from collections import Counter
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.aftersales.money import asked
from core.aftersales.rules import Discount, Earned, Line, Order, Plan, given_up, plan
from core.kit.ids import MARKET_ID, new_id
from core.ledger.back import (
    PayoutMoney,
    RefundMoney,
    payout_done_transfers,
    payout_transfers,
    refund_transfers,
    with_shortfall,
)
from core.ledger.rules import (
    GROW_ON_CREDIT,
    GROW_ON_DEBIT,
    Account,
    Earning,
    OrderMoney,
    Transfer,
    commission_at_release,
    pay_transfers,
    release_transfers,
    split_transfers,
    subsidised_transfers,
)
from core.payment.call_done import transfers
from core.payment.call_rows import Call

SHOP, EARNERS = new_id(), (new_id(), new_id())
REPLACE = msgspec.structs.replace


@st.composite
def bought(draw: st.DrawFn) -> Order:
    """An order as it is paid, with earners of some lines."""
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        quantity, price = draw(st.integers(1, 4)), draw(st.integers(0, 900))
        market = draw(st.integers(0, quantity * price))
        merchant = draw(st.integers(0, quantity * price - market))
        cut = Discount("tests", "cut", market, merchant)
        lines.append(Line(new_id(), "sale", new_id(), new_id(), None, quantity, price, discounts=(cut,)))
    shipping = draw(st.integers(0, 500))
    paid, borne = _paid(lines) + shipping, sum(d.market for x in lines for d in x.discounts)
    fee = draw(st.integers(0, paid + borne))
    left, earnings = paid + borne - fee, []
    for line in lines:
        for owner in draw(st.lists(st.sampled_from(EARNERS), max_size=2, unique=True)):
            amount = draw(st.integers(0, left))
            left -= amount
            if amount:
                earnings.append(Earned(new_id(), line.id, owner, amount))
    return Order(SHOP, tuple(lines), shipping, 0, 0, fee, 0, tuple(earnings))


def _paid(lines: Any) -> int:
    return sum(x.quantity * x.unit_price - sum(d.market + d.merchant for d in x.discounts) for x in lines)


class Life:
    """One order's facts, as its row would have them."""

    def __init__(self, order: Order) -> None:
        self.order, self.id, self.payment = order, new_id(), new_id()
        self.payable = _paid(order.lines) + order.shipping
        self.borne = sum(d.market for x in order.lines for d in x.discounts)
        self.released = False
        self.back = self.borne_back = self.withheld = self.fee_back = 0

    def money(self) -> OrderMoney:
        """What is left of it."""
        sums: Counter[UUID] = Counter()
        for e in self.order.earnings:
            sums[e.owner_id] += e.amount - e.refunded
        return OrderMoney(
            SHOP,
            self.id,
            self.payable - self.back - self.withheld,
            self.borne - self.borne_back,
            self.order.commission - self.fee_back,
            [Earning(owner, amount) for owner, amount in sums.items() if amount],
        )

    def refunded(self, one: Plan, amount: int, withheld: int, given: Counter[UUID]) -> None:
        """A refund was decided."""
        gone = {x.part.line.id: x.part for x in one.lines}
        self.back += amount
        self.withheld += withheld
        self.borne_back += one.market_borne
        self.fee_back += one.commission
        self.order = REPLACE(
            self.order,
            lines=tuple(
                REPLACE(
                    x, refunded=x.refunded + gone[x.id].quantity, cancelled=x.cancelled + gone[x.id].cancelled
                )
                if x.id in gone
                else x
                for x in self.order.lines
            ),
            earnings=tuple(REPLACE(e, refunded=e.refunded + given[e.id]) for e in self.order.earnings),
            refunded_shipping=self.order.refunded_shipping + one.shipping,
            refunded_commission=self.order.refunded_commission + one.commission,
        )


class Money(RuleBasedStateMachine):
    """Orders of one shop; every call is done at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sums: Counter[Account] = Counter()
        self.lives: list[Life] = []

    def post(self, posted: list[Transfer]) -> None:
        """Into the books."""
        for t in posted:
            assert t.amount > 0
            self.sums[t.debit] += t.amount
            self.sums[t.credit] -= t.amount

    def held(self, kind: str, owner: UUID = SHOP) -> int:
        """What is on an account that grows on credit."""
        return -self.sums[Account(owner, kind)]

    @initialize(deposit=st.integers(0, 300))
    def left_a_deposit(self, deposit: int) -> None:
        self.sums[Account(SHOP, "deposit")] -= deposit
        self.sums[Account(MARKET_ID, "funds")] += deposit

    @rule(order=bought())
    def pays(self, order: Order) -> None:
        life = Life(order)
        self.lives.append(life)
        self.post([*pay_transfers(life.money()), *subsidised_transfers(life.money())])

    @rule(pick=st.integers(0, 99))
    def releases(self, pick: int) -> None:
        life = self._pick(pick, released=False)
        if life is None:
            return
        money = life.money()
        debts = {e.owner: max(0, self.sums[Account(e.owner, "debt")]) for e in money.earnings}
        earnings = [REPLACE(e, netted=min(e.amount, debts[e.owner])) for e in money.earnings]
        money = REPLACE(money, earnings=earnings)
        taken = commission_at_release(money)
        life.fee_back = life.order.commission - taken
        life.order = REPLACE(life.order, refunded_commission=life.fee_back)
        life.released = True
        self.post([*release_transfers(money), *split_transfers(REPLACE(money, commission=taken))])

    @rule(pick=st.integers(0, 99), data=st.data())
    def refunds(self, pick: int, data: st.DataObject) -> None:
        life = self._pick(pick, released=data.draw(st.booleans()))
        if life is None or not any(x.left for x in life.order.lines):
            return
        own = life.money()
        left = None if life.released else own.frozen - own.earned
        order = REPLACE(life.order, left=left)
        wanted = [
            (x.id, n) for x in order.lines if x.left and (n := data.draw(st.integers(0, x.left)))
        ] or None
        one = plan(order, "accepted", wanted, None, restock=False)
        limit = one.goods + one.shipping
        held = data.draw(st.integers(0, limit)) if data.draw(st.booleans()) else 0
        # What the market had withheld it may give back with another refund.
        for_market = data.draw(st.integers(-life.withheld, held))
        amount = limit - held + max(0, -for_market)
        given = given_up(order, [x.part for x in one.lines], amount + one.market_borne + for_market)
        sums: Counter[UUID] = Counter()
        for g in given:
            sums[g.owner_id] += g.amount
        earnings = [Earning(owner, fen) for owner, fen in sums.items()]
        refund = RefundMoney(
            SHOP,
            life.id,
            new_id(),
            amount,
            one.market_borne,
            for_market,
            one.commission,
            life.released,
            earnings,
        )
        refund = with_shortfall(refund, self.held("payable"), self.held("deposit"))
        life.refunded(one, amount, for_market, Counter({g.id: g.amount for g in given}))
        self.post(refund_transfers(refund))
        for call in asked(refund, life.payment, "tests", "test"):
            assert 0 <= call.detail.advance <= call.amount
            self.post(transfers(call))

    @rule(returned=st.booleans())
    def pays_out(self, returned: bool) -> None:
        owed = self.held("payable")
        if owed:
            netted = min(owed, max(0, self.sums[Account(SHOP, "debt")]))
            money = PayoutMoney(SHOP, new_id(), owed - netted, netted)
            self.post([*payout_transfers(money), *payout_done_transfers(money, returned=returned)])

    @invariant()
    def nothing_is_below_zero_and_the_cash_is_what_is_owed(self) -> None:
        for account, amount in self.sums.items():
            if account.kind in GROW_ON_CREDIT:
                assert amount <= 0, account
            if account.kind in GROW_ON_DEBIT:
                assert amount >= 0, account
        assert sum(self.sums.values()) == 0
        owed = sum(self.held(kind) for kind in ("frozen", "payable", "refund_transit", "payout_transit"))
        owed += sum(self.held("frozen", e) + self.held("payable", e) for e in EARNERS)
        assert self.sums[Account(SHOP, "gateway")] == owed

    def teardown(self) -> None:
        while any(not life.released for life in self.lives):
            self.releases(0)
        if not self.sums[Account(SHOP, "debt")]:
            self.pays_out(returned=False)
            assert self.sums[Account(SHOP, "gateway")] == 0

    def _pick(self, pick: int, *, released: bool) -> Life | None:
        found = [life for life in self.lives if life.released is released]
        return found[pick % len(found)] if found else None


TestMoney = Money.TestCase
TestMoney.settings = settings(
    deadline=None, max_examples=60, stateful_step_count=25, suppress_health_check=list(HealthCheck)
)


@given(
    amount=st.integers(0, 999),
    borne=st.integers(0, 999),
    withheld=st.integers(-999, 999),
    debt=st.integers(0, 2_000),
)
def test_what_a_refund_asks_for_adds_up_to_what_it_takes(
    amount: int, borne: int, withheld: int, debt: int
) -> None:
    amount = max(amount, -withheld)
    whole = amount + borne + withheld
    refund = RefundMoney(
        SHOP, new_id(), new_id(), amount, borne, withheld, released=True, debt=min(debt, whole)
    )
    calls: list[Call] = asked(refund, new_id(), "tests", "test")
    moved = sum(c.amount + c.detail.recovered - c.detail.advance for c in calls)
    assert moved == whole - refund.debt
