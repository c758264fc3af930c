"""Orders with gifts refunded in any portions, before and after they leave: every fen is refunded or kept back, and a gift is
either earned, gone, or paid for."""

import random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core.aftersales import deductions
from core.aftersales.deductions import Kept
from core.aftersales.rules import GIFT, Line, Order, Plan, plan
from core.api import Deduction, new_id, parse_pair, ref
from core.testkit import Market
from plugins.promotions.giving import Earning, Given, Present, Promise, _earned, unearned
from plugins.promotions.terms import Gift, Terms, Tier
from tests.support.promotions import Fair

SHOP, CUP, POT = new_id(), new_id(), new_id()
Wanted = list[tuple[UUID, int]]


@st.composite
def promises(draw: st.DrawFn, goods: list[Line]) -> Promise:
    """A promotion that gives cups, or cups and pots, for some or all of the goods."""
    by = draw(st.sampled_from(["count", "amount"]))
    counting = draw(st.lists(st.sampled_from(goods), min_size=1, unique_by=lambda x: x.id))
    there = sum(x.quantity * (1 if by == "count" else x.unit_price) for x in counting)
    froms = draw(st.lists(st.integers(1, max(1, there)), min_size=1, max_size=3, unique=True))
    values = {sku: draw(st.integers(0, 700)) for sku in (CUP, POT)}
    tiers = []
    for number, from_ in enumerate(sorted(froms), 1):
        skus = draw(st.sampled_from([[CUP], [CUP, POT], [POT]]))
        tiers.append(Tier(from_, gifts=tuple(Gift(ref(SHOP, s), number, values[s]) for s in skus)))
    terms = Terms(
        kind="gift", name=draw(st.sampled_from("甲乙")), by=by, tiers=tuple(tiers), each=len(tiers) == 1
    )
    earned = _earned(Promise(terms, Given(_earning(counting), ())), {x.sku_id: x.quantity for x in goods})
    given_ = [Present(s, n, values[s]) for s, n in earned.items() if n and draw(st.integers(0, 9))]
    return Promise(terms, Given(_earning(counting), tuple(given_)))


def _earning(lines: list[Line]) -> tuple[Earning, ...]:
    return tuple(Earning(x.sku_id, x.quantity, x.quantity * x.unit_price) for x in lines)


class Shop:
    """One order, its refunds and parcels, as core and the plugin have them."""

    def __init__(self, draw: Any, *, fresh: bool = False) -> None:
        self.draw, self.fresh = draw, fresh
        goods = [
            Line(
                new_id(), "sale", new_id(), new_id(), None, draw(st.integers(1, 4)), draw(st.integers(0, 900))
            )
            for _ in range(draw(st.integers(1, 3)))
        ]
        self.promises: list[Promise] = [draw(promises(goods)) for _ in range(draw(st.integers(1, 2)))]
        for promise in self.promises:
            for present in promise.given.gifts:
                parent = draw(st.sampled_from([None, *(x.id for x in goods)]))
                gift = Line(new_id(), GIFT, present.sku_id, new_id(), parent, present.quantity, 0)
                goods.append(gift)
        self.order = Order(SHOP, tuple(goods))
        self.paid = sum(x.quantity * x.unit_price for x in goods)
        self.noted = [0] * len(self.promises)
        self.stored: list[Kept] = []
        self.back, self.refunded = 0, False

    @property
    def kept(self) -> int:
        """What refunds kept back."""
        return sum(one.amount for one in self.stored)

    @property
    def due(self) -> int:
        """What the gifts that the buyer has not earned are worth."""
        return sum(self.noted)

    def move(self) -> None:
        """Something leaves, or goes back."""
        if not self.fresh and self.draw(st.integers(0, 2)) == 0:
            self.ship()
            return
        units = [(x.id, n) for x in self.order.lines if x.left and (n := self.draw(st.integers(0, x.left)))]
        self.refund(units or None)

    def ship(self) -> None:
        """Some units leave."""
        lines = [
            replace(x, shipped=x.shipped + self.draw(st.integers(0, x.to_ship))) for x in self.order.lines
        ]
        self.order = replace(self.order, lines=tuple(lines))

    def refund(self, wanted: Wanted | None) -> None:
        """As `core.aftersales.service.decide` does it."""
        restock = self.draw(st.booleans())
        first = plan(self.order, "accepted", wanted, None, restock=restock)
        found = unearned(self.promises, first.stays)
        answers = [
            Deduction("", promise.terms.name, one.due - noted, "merchant", one.cancelled)
            for promise, one, noted in zip(self.promises, found, self.noted, strict=True)
        ]
        self.noted = [one.due for one in found]
        cancelled = deductions.cancelled(first, [("promotions", answers)])
        made = plan(self.order, "accepted", wanted, None, restock=restock, cancelled=cancelled)
        before = deductions.standings(self.stored)
        kept = deductions.keep_back(before, [("promotions", answers)], made.goods)
        amount = made.goods - sum(one.amount for one in kept)
        assert amount >= 0
        self.stored, self.refunded = [*self.stored, *kept], True
        self.back += amount
        # What is not kept back though it is due found nothing to be kept back from.
        assert self.kept == self.due or (amount == 0 and self.kept < self.due)
        self.order = replace(self.order, lines=tuple(_moved(x, made) for x in self.order.lines))

    def check(self) -> None:
        """Refunds, what they kept, and what stays are what was paid; each gift that the buyer gets is earned or due."""
        goods = [x for x in self.order.lines if x.kind != GIFT]
        stays = sum(x.left * x.unit_price for x in goods)
        assert self.back + self.kept + stays == self.paid
        if len(self.promises) == 1 and self.refunded:
            self._check_gifts(self.promises[0], {x.sku_id: x.left for x in goods})

    def _check_gifts(self, promise: Promise, units: dict[UUID, int]) -> None:
        earned, extra = _earned(promise, units), {}
        for sku in (CUP, POT):
            gifts = [x for x in self.order.lines if x.kind == GIFT and x.sku_id == sku]
            extra[sku] = sum(x.left for x in gifts) - earned[sku]
            # Only what had left can be more than is earned.
            assert extra[sku] <= max(0, sum(x.left - x.to_ship for x in gifts))
        if all(present.sku_id == CUP for present in promise.given.gifts) and earned[POT] == 0:
            value = next((present.value for present in promise.given.gifts), 0)
            assert self.due == max(0, extra[CUP]) * value


def _moved(line: Line, made: Plan) -> Line:
    part = next((part for part in made.parts if part.line.id == line.id), None)
    if part is None:
        return line
    return replace(line, refunded=line.refunded + part.quantity, cancelled=line.cancelled + part.cancelled)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_any_portions_and_parcels_add_up_to_what_was_paid(data: st.DataObject) -> None:
    shop = Shop(data.draw)
    for _ in range(12):
        if not any(x.left for x in shop.order.lines):
            break
        shop.move()
        shop.check()
    if any(x.left for x in shop.order.lines):
        shop.refund(None)
    shop.check()
    # With everything, gifts too, went the reason for whatever was kept back.
    assert (shop.back, shop.kept, shop.due) == (shop.paid, 0, 0)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_an_order_that_has_not_left_is_paid_back_whole_in_any_portions(data: st.DataObject) -> None:
    shop = Shop(data.draw, fresh=True)
    back = 0
    while any(x.left for x in shop.order.lines if x.kind != GIFT):
        shop.move()
        assert shop.kept == 0
        back += 1
        if back > 12:
            shop.refund(None)
    assert shop.back == shop.paid
    assert not any(x.left for x in shop.order.lines)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_portions_keep_back_what_one_refund_of_them_all_would(data: st.DataObject) -> None:
    whole = Shop(data.draw)
    whole.order = replace(whole.order, lines=tuple(replace(x, shipped=x.quantity) for x in whole.order.lines))
    goods = [x for x in whole.order.lines if x.kind != GIFT]
    wanted = [(x.id, n) for x in goods if (n := data.draw(st.integers(0, x.quantity)))]
    order, units = whole.order, [line for line, n in wanted for _ in range(n)]
    if not units:
        return
    whole.refund(wanted)
    pieces = Shop.__new__(Shop)
    pieces.__dict__ |= whole.__dict__ | {"order": order, "stored": [], "back": 0}
    pieces.noted = [0] * len(whole.promises)
    for line in data.draw(st.permutations(units)):
        pieces.refund([(line, 1)])
    assert pieces.due == whole.due
    # A last refund that is too small for what is due with it is all that differs.
    assert pieces.kept <= whole.kept
    assert pieces.kept == whole.kept or pieces.kept < pieces.due


@pytest.mark.parametrize("seed", range(3))
async def test_any_mixture_of_steps_leaves_books_and_stock_in_agreement(
    fair: Fair, market: Market, seed: int
) -> None:
    rng = random.Random(seed)
    shop = await market.merchant()
    tea, leaf = await market.product(shop, price=3000), await market.product(shop, price=rng.randint(1, 400))
    cup = await market.product(shop, price=500)
    tiers = [{"from": n, "gifts": [{"sku_id": cup.ref, "quantity": n // 2}]} for n in (2, 4)]
    await fair.run(shop, kind="gift", by="count", tiers=tiers[: rng.randint(1, 2)])
    for _ in range(3):
        order = (await fair.bought(await market.buyer(), (tea, 3), (leaf, 2)))["orders"][0]
        for _ in range(5):
            await step(fair, market, shop, order, rng)
            await fair.assert_balanced()
        await fair.refund(shop, order, restock=True)
        await fair.assert_balanced()
        key = parse_pair(order["id"])[1]
        paid, back, status = await fair.value(
            "select (payable - shipping_amount, refunded_amount - refunded_shipping, status) from orders where id = $1",
            key,
        )
        assert paid == back, status
    stock = await fair.value("select array_agg((on_hand, reserved)) from stock")
    assert stock == [(100, 0)] * 3


async def step(fair: Fair, market: Market, shop: Any, order: Any, rng: random.Random) -> None:
    """A parcel or a refund of a few units, if there are so many."""
    owner = await market.staff(shop)
    at = f"/api/merchant/orders/{order['id']}"
    line = rng.choice(order["lines"])
    units = [{"line_id": line["id"], "quantity": rng.randint(1, line["quantity"])}]
    if rng.random() < 0.3:
        await owner.post(f"{at}/accept")
        parcel = {"carrier": "sf", "waybill_no": f"SF{new_id().hex[-12:]}", "lines": units}
        answer = await owner.post(f"{at}/parcels", parcel)
    else:
        body = {"reason": "test", "lines": units, "shipping_amount": 0, "restock": True}
        answer = await owner.post(f"{at}/refunds", body)
    assert answer.status_code < 300 or answer.status_code in (409, 422), answer.text
