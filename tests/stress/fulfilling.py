"""What becomes of one paid order: accepted or cancelled, sent in parcels, refunded in part, received, and what comes after."""

from typing import Any
from uuid import uuid4

from tests.stress.cases import open_case
from tests.stress.client import Answer
from tests.stress.course import CARRIERS, Course
from tests.stress.refunding import after_release, refund

_PARCEL_MAY = ("wrong_status", "nothing_left", "invalid", "on_hold")


async def fulfil(course: Course) -> None:
    """From paid to released, with whatever comes between."""
    await _unheld(course)
    await _before(course)
    if course.status == "paid":
        # A refund, a hold or a cancellation may come first.
        answer = await course.at_shop("accept", may=("wrong_status", "on_hold"))
        if answer.code == "on_hold":
            await _unheld(course)
            await course.at_shop("accept", may=("wrong_status",))
        await course.look()
    if course.status == "accepted":
        await _ship(course)
    if course.status == "shipped" and course.draw("case on the way").random() < 0.12:
        await open_case(course, "on the way")
        await course.look()
    if course.status == "shipped":
        await _receive(course)
    if course.status == "completed":
        await _afterwards(course)


async def _before(course: Course) -> None:
    chance = course.draw("before")
    if course.status == "paid" and chance.random() < 0.1:
        await _cancel(course, at_once=chance.random() < 0.5)
    if course.status == "paid" and chance.random() < 0.1:
        await refund(course, "early")
    if course.status == "paid" and chance.random() < 0.05:
        await open_case(course, "before shipping")
        await course.look()


async def _afterwards(course: Course) -> None:
    chance = course.draw("afterwards")
    for n in range(chance.choice([0, 0, 0, 1, 1, 2])):
        await open_case(course, f"afterwards {n}")
    if chance.random() < 0.1:
        await refund(course, "completed")
    await after_release(course)


async def _unheld(course: Course) -> None:
    """Wait until nothing holds the order any more."""

    def free(order: Any) -> bool:
        return not order["holds"] or order["status"] == "closed"

    await course.story.until(course.look, free, f"order {course.order['number']} not held", seconds=150)


async def _cancel(course: Course, *, at_once: bool) -> None:
    """The buyer takes it back; maybe while the shop accepts it."""
    cancel = course.by_buyer("cancel", may=("wrong_status", "on_hold", "in_case"))
    if at_once:
        accept = course.at_shop("accept", may=("wrong_status", "on_hold"))
        await course.story.both(cancel, accept, f"cancel and accept {course.order['number']}", one=True)
    else:
        await cancel
    await course.look()


async def _ship(course: Course) -> None:
    """One parcel or several, with refunds between them."""
    chance = course.draw("parcels")
    for n in range(chance.choice([1, 1, 1, 2, 3])):
        if course.status != "accepted":
            return
        await _parcel(course, n, all_left=False)
        if chance.random() < 0.1:
            await refund(course, f"between {n}")
    while course.status == "accepted":
        before = _to_ship(course)
        await _parcel(course, 9, all_left=True)
        if course.status == "accepted" and _to_ship(course) == before:
            course.story.found(
                "cannot be shipped", f"order {course.order['number']}: {course.order['lines']}"
            )
            return


def _to_ship(course: Course) -> list[tuple[str, int]]:
    lines = course.order["lines"]
    left = [(x["id"], x["quantity"] - x["shipped_quantity"] - x["cancelled_quantity"]) for x in lines]
    return [(line, n) for line, n in left if n > 0]


async def _parcel(course: Course, number: int, *, all_left: bool) -> None:
    chance = course.draw(f"parcel {number}")
    kind = chance.choice(["express", "express", "express", "instant", "pickup"])
    body: dict[str, Any] = {"kind": kind}
    if kind == "express":
        body |= {"carrier": chance.choice(CARRIERS), "waybill_no": f"W{uuid4().hex[:12]}"}
    left = _to_ship(course)
    if left and not all_left and chance.random() < 0.6:
        some = chance.sample(left, chance.randint(1, len(left)))
        body["lines"] = [{"line_id": line, "quantity": chance.randint(1, n)} for line, n in some]
    if chance.random() < 0.08:
        both = (
            course.at_shop("parcels", body, may=_PARCEL_MAY),
            course.at_shop("parcels", body, may=_PARCEL_MAY),
        )
        await course.story.both(*both, "two parcels", one=False)
    else:
        await course.at_shop("parcels", body, may=_PARCEL_MAY)
    await course.look()
    if chance.random() < 0.2:
        await _change_waybills(course, chance)
    if chance.random() < 0.15:
        await _deliver(course)


async def _change_waybills(course: Course, chance: Any) -> None:
    """Another number for each parcel that has one, sometimes too often."""
    story = course.story
    for parcel in course.order["parcels"]:
        if parcel["kind"] != "express":
            continue
        for _ in range(chance.choice([1, 1, 4])):
            body = {"waybill_no": f"N{uuid4().hex[:12]}"}
            path = f"/api/merchant/orders/{course.id}/parcels/{parcel['id']}"
            answer = await course.shop.owner.send("PATCH", path, body, story=story.number)
            if answer.code not in ("", "too_late", "too_many_changes", "wrong_status"):
                story.found("refused", f"PATCH {path}: {answer}")


async def _deliver(course: Course) -> None:
    for parcel in course.order["parcels"]:
        if parcel["kind"] in ("express", "instant"):
            await course.at_shop(f"parcels/{parcel['id']}/deliver", may=("wrong_status",))


async def _receive(course: Course) -> None:
    """Codes are shown and redeemed, twice at once now and then; the rest is received by the buyer, or by itself."""
    chance = course.draw("receive")
    for parcel in course.order["parcels"]:
        if parcel["status"] == "ready" and chance.random() < 0.85:
            await _redeem(course, parcel, chance.random())
    if chance.random() < 0.7:
        await course.by_buyer("receive", may=("wrong_status", "not_redeemed"))
    times = course.story.world.place.times
    await course.reach("completed", seconds=max(times["auto_receive"], times["auto_service"]) + 90)


async def _redeem(course: Course, parcel: Any, dice: float) -> None:
    """Once, twice one after the other, or twice at once."""
    story, body = course.story, {"code": parcel["code"]}
    may = ("code_used", "code_voided", "on_hold", "refund_pending")

    async def once() -> Answer:
        return await story.post(course.shop.owner, "/api/merchant/redemptions", body, may=may)

    if dice < 0.15:
        await story.both(once(), once(), f"code of order {course.order['number']} redeemed", one=True)
        return
    first = await once()
    if dice < 0.35 and first.ok and (await once()).ok:
        story.found("a code was redeemed twice", f"order {course.order['number']}")
