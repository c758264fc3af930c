"""The first part of a story: what is bought, and whether it is ever paid."""

import asyncio
from typing import Any

from tests.stress.client import Answer
from tests.stress.scene import Shop, Sku
from tests.stress.story import Story, uuid_of

# What becomes of the payment, and how often in a hundred stories.
FATES = {
    "paid": 66,
    "left unpaid": 5,
    "closed": 5,
    "closed or paid at once": 6,
    "paid late": 6,
    "paid twice": 6,
    "nearly paid": 6,
}
_REMARKS = {"": 84, "hold": 8, "refund": 4, "fail": 4}
# Another story of the same buyer was quicker with a coupon: quote again.
_AGAIN = ("price_changed", "coupon_used")
# Then without the scarce goods.
_SOLD_OUT = ("out_of_stock", "not_purchasable")
# The market is under fire: a trade may run out before it is paid.
_TOO_LATE = ("trade_closed", "trade_expired", "already_paid")


async def buy(story: Story) -> Any:
    """Quote and checkout; the trade, None when there was nothing left to sell."""
    basket, shops = _basket(story)
    chance = story.draw("purchase")
    request: dict[str, Any] = {
        "address_id": story.world.scene.addresses[story.buyer.login],
        "remarks": {shop.id: chance.choices(list(_REMARKS), list(_REMARKS.values()))[0] for shop in shops},
    }
    await _coupons(story, request)
    for _ in range(5):
        request["lines"] = [{"sku_id": sku.id, "quantity": n} for sku, n in basket]
        quoted = {
            name: value for name, value in request.items() if name not in ("remarks", "expected_payable")
        }
        quote = await story.buyer.send("POST", "/api/shop/quote", quoted, story=story.number)
        if not quote.ok or quote["problems"]:
            code = "out_of_stock"
        else:
            request["expected_payable"] = quote["payable"]
            trade = await story.post(story.buyer, "/api/shop/checkout", request, may=(*_AGAIN, *_SOLD_OUT))
            if trade.ok:
                story.tell(trade.body)
                return trade.body
            code = trade.code
        if code in _SOLD_OUT:
            basket = [(sku, n) for sku, n in basket if not sku.scarce] or [(shops[0].skus[0], 1)]
    return None


def _basket(story: Story) -> tuple[list[tuple[Sku, int]], list[Shop]]:
    chance = story.draw("basket")
    shops = list(story.world.scene.shops.values())
    chosen = chance.sample(shops, min(len(shops), chance.choice([1, 1, 1, 2, 3])))
    basket = []
    for shop in chosen:
        some = chance.sample(shop.skus, chance.choice([1, 1, 2, 3]))
        basket += [(sku, 1 if sku.scarce else chance.choice([1, 1, 2, 3, 7])) for sku in some]
    return basket, chosen


async def _coupons(story: Story, request: dict[str, Any]) -> None:
    """Claim some, and choose the best ones or none."""
    chance = story.draw("coupons")
    templates = story.world.scene.coupons
    for template in chance.sample(templates, chance.choice([0, 0, 1, 2])):
        await story.post(story.buyer, f"/api/shop/coupons/templates/{template}/claim", may=("limit_reached",))
    if chance.random() < 0.2:
        request["options"] = {"coupons": {"ids": []}}


async def settle_payment(story: Story, trade: Any) -> bool:
    """Pay as the story's fate wants it; whether its orders are paid in the end."""
    chance = story.draw("fate")
    fate = chance.choices(list(FATES), list(FATES.values()))[0]
    story.world.tally.stories[fate] += 1
    story.steps.append(fate)
    match fate:
        case "left unpaid":
            if chance.random() < 0.5:
                await _open(story, trade)
            await story.pause(story.world.place.times["unpaid_ttl"])
        case "closed":
            await _close(story, trade)
        case "closed or paid at once":
            await _close_or_pay(story, trade)
        case "paid late":
            await _pay_late(story, trade)
        case _:
            await _pay(story, trade, fate)
    return await _ended(story, trade) == "paid"


async def _ended(story: Story, trade: Any) -> str:
    """How the trade stands once it is decided."""

    async def look() -> Any:
        return await story.buyer.get(f"/api/shop/trades/{trade['id']}")

    seconds = story.world.place.times["unpaid_ttl"] + 90
    seen = await story.until(look, lambda t: t["status"] != "unpaid", "paid or closed", seconds=seconds)
    return str(seen["status"])


async def _open(story: Story, trade: Any) -> Answer:
    path = f"/api/shop/trades/{trade['id']}/payments"
    return await story.post(story.buyer, path, {"provider": "sandbox"}, may=_TOO_LATE)


async def _press(story: Story, payment: Answer, **how: Any) -> bool:
    """The buyer pays at the payment service; False when it does not take the money any more."""
    if not payment.ok or payment["status"] == "paid":
        return payment.ok
    path = payment["client"]["pay_url"]
    answer = await story.world.caller.send("POST", path, json=how, story=story.number)
    story.steps.append(f"pressed pay {answer.code or answer.status}")
    if not answer.ok and answer.code != "payment_closed":
        story.found("refused", f"POST {path}: {answer}")
    return answer.ok


async def _pay(story: Story, trade: Any, fate: str) -> None:
    payment = await _open(story, trade)
    if fate == "nearly paid":
        await _forge(story, trade, payment)
    if fate == "paid twice" and payment.ok and payment["status"] != "paid":
        await _pay_twice(story, trade, payment)
    else:
        await _press(story, payment, notify=story.draw("notify").random() < 0.9)


async def _pay_twice(story: Story, trade: Any, first: Answer) -> None:
    """The first payment runs out, a second one is opened, and both are paid, in whatever order."""
    sql = "update payment set expires_at = created_at where id = $1 and status = 'created'"
    await story.world.database.execute(sql, uuid_of(first["id"]))
    second = await _open(story, trade)
    if second.ok and second["id"] == first["id"]:
        story.found("no second payment", f"{first} and {second}")
    await asyncio.gather(_press(story, first), _press(story, second))


async def _close(story: Story, trade: Any) -> None:
    path = f"/api/shop/trades/{trade['id']}/close"
    await story.post(story.buyer, path, may=("trade_closed", "already_paid", "wrong_status"))


async def _close_or_pay(story: Story, trade: Any) -> None:
    payment = await _open(story, trade)
    await asyncio.gather(_close(story, trade), _press(story, payment))


async def _pay_late(story: Story, trade: Any) -> None:
    """The money comes after the trade was closed, maybe after the payment was."""
    payment = await _open(story, trade)
    await _close(story, trade)
    chance = story.draw("late")
    await story.pause(chance.uniform(0, 3))
    if payment.ok and payment["status"] != "paid":
        await story.world.till.pay_late(payment["client"]["payment_id"])


async def _forge(story: Story, trade: Any, payment: Answer) -> None:
    """Notifications of what never happened change nothing."""
    if not payment.ok or payment["status"] == "paid":
        return
    how = story.draw("forgery").choice(["wrong amount", "wrong share", "wrong signature"])
    legs = [(order["merchant"]["id"], order["payable"]) for order in trade["orders"] if order["payable"]]
    answer = await story.world.till.forge(payment["client"]["payment_id"], legs, how, story=story.number)
    if answer.ok and how == "wrong signature":
        story.found("a forged notification was taken", str(answer))
    seen = await story.buyer.get(f"/api/shop/trades/{trade['id']}")
    if seen["status"] == "paid":
        story.found(
            "paid by what was never paid", f"{how}: {seen['number']} {[o['number'] for o in seen['orders']]}"
        )
