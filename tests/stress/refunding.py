"""Refunds by shop and market: before and after shipping, after the release, after the payout."""

from typing import Any

from tests.stress.course import Course

# What a refund may be refused with: another one, a parcel, a case or the release was quicker.
MAY = ("refund_exceeds", "nothing_left", "wrong_status", "on_hold", "in_case")


async def refund(course: Course, when: str) -> None:
    """Units, or all, or freight go back; maybe shop and market want it at once."""
    chance = course.draw(f"refund {when}")
    await course.look()
    body: dict[str, Any] = {"reason": f"stress {when}", "restock": chance.random() < 0.3}
    left = [(line["id"], line["quantity"] - line["refunded_quantity"]) for line in course.order["lines"]]
    some = [(line, n) for line, n in left if n > 0]
    if some and chance.random() < 0.8:
        line, n = chance.choice(some)
        body["lines"] = [{"line_id": line, "quantity": chance.randint(1, n)}]
    if chance.random() < 0.2 and course.order["shipping_amount"]:
        body["shipping_amount"] = chance.randint(0, course.order["shipping_amount"] // 2)
    by = [course.at_shop, course.by_market]
    if chance.random() < 0.4:
        by.reverse()
    course.story.world.tally.refunds[when.rstrip(" 0123456789")] += 1
    if chance.random() < 0.25:
        both = by[0]("refunds", body, may=MAY), by[1]("refunds", body, may=MAY)
        await course.story.both(*both, "two refunds", one=False)
    else:
        await by[0]("refunds", body, may=MAY)
    await course.look()


async def after_release(course: Course) -> None:
    """Once the money is released, and maybe paid out, some of it goes back after all."""
    chance = course.draw("after release")
    dice = chance.random()
    if dice >= 0.16:
        return
    times = course.story.world.place.times

    async def look() -> Any:
        return await course.shop.owner.get(f"/api/merchant/orders/{course.id}")

    # A refund or a case may put the release off for longer than a story lasts.
    seconds = times["aftersales_window"] + 60
    seen = await course.story.until(look, lambda o: o["released_at"], "released", seconds=seconds, must=False)
    if not seen["released_at"]:
        return
    if dice < 0.08:
        await course.story.pause(times["payout_every"] + 4)
    await refund(course, "after payout" if dice < 0.08 else "after release")
    if chance.random() < 0.3:
        await refund(course, "after that")
