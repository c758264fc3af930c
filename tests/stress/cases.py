"""A buyer's case about one order: asked for, answered or met with silence, and followed to its end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from tests.stress.client import Answer
from tests.stress.course import CARRIERS, Course

# Money on its way back arrives in the end; that is seen once all stories are told.
ENDED = ("done", "cancelled", "closed", "refunding")
# What a step may be refused with: silence or somebody else was quicker.
_MAY = ("wrong_status", "wrong_kind", "on_hold", "out_of_stock", "refund_exceeds", "nothing_left")
_APPLY_MAY = (
    "window_over",
    "wrong_status",
    "refund_exceeds",
    "in_case",
    "not_shipped",
    "gift_alone",
    "on_hold",
)
_KINDS = {"refund_only": 40, "return_refund": 35, "exchange": 25}
_ADDRESS = {
    "recipient": "退货", "phone": "13900000000", "province": "重庆市", "city": "重庆市", "district": "渝中区",
    "street": "退货路 1 号",
}  # fmt: skip
# What each status is met with, and how often; `silence` waits.
_NEXT: dict[str, dict[str, int]] = {
    "applied": {"agree": 45, "refuse": 20, "silence": 12, "cancel": 6, "cancel and agree": 9, "decide": 8},
    "agreed": {"send": 75, "silence": 10, "cancel": 7, "send and cancel": 8},
    "sent": {"receive": 60, "reject": 15, "silence": 15, "receive and decide": 10},
    "received": {"reship": 65, "convert": 15, "silence": 20},
    "reshipped": {"confirm": 60, "silence": 40},
    "refused": {"arbitrate": 60, "silence": 25, "again": 15},
    "arbitration": {"decide": 100},
}


class Case:
    """One of them."""

    def __init__(self, course: Course, case: Any, name: str) -> None:
        self.course, self.id, self.name, self.seen, self.turns = course, str(case["id"]), name, case, 0

    @property
    def status(self) -> str:
        """As it was last seen."""
        return str(self.seen["status"])

    async def look(self) -> Any:
        """See how it stands."""
        self.seen = await self.course.story.buyer.get(f"/api/shop/aftersales/{self.id}")
        return self.seen

    async def by_buyer(self, verb: str, body: Any = None) -> Answer:
        """The buyer does something."""
        story = self.course.story
        return await story.post(story.buyer, f"/api/shop/aftersales/{self.id}/{verb}", body, may=_MAY)

    async def by_shop(self, verb: str, body: Any = None) -> Answer:
        """The shop does."""
        path = f"/api/merchant/aftersales/{self.id}/{verb}"
        return await self.course.story.post(self.course.shop.owner, path, body, may=_MAY)

    async def decided(self, body: Any) -> Answer:
        """The market decides."""
        story = self.course.story
        path = f"/api/platform/aftersales/{self.id}/decide"
        return await story.post(story.world.scene.operator, path, body, may=_MAY)


async def open_case(course: Course, name: str) -> None:
    """Ask for something and follow it to its end."""
    chance = course.draw(f"case {name}")
    await course.look()
    kind = chance.choices(list(_KINDS), list(_KINDS.values()))[0]
    left = [
        (
            line["id"],
            (line["shipped_quantity"] if kind != "refund_only" else line["quantity"])
            - line["refunded_quantity"],
        )
        for line in course.order["lines"]
    ]
    some = [(line, n) for line, n in left if n > 0]
    if not some:
        return
    chosen = chance.sample(some, chance.randint(1, len(some)))
    body = {
        "kind": kind,
        "lines": [{"line_id": line, "quantity": chance.randint(1, n)} for line, n in chosen],
        "reason": f"stress {name}",
    }
    asked = [
        course.by_buyer("aftersales", body, may=_APPLY_MAY) for _ in range(2 if chance.random() < 0.1 else 1)
    ]
    for n, made in enumerate(await asyncio.gather(*asked)):
        if made.ok:
            course.story.world.tally.cases[kind] += 1
            await _follow(Case(course, made.body, f"{name} {n}"))


async def _follow(case: Case) -> None:
    """Step by step, as the seed says, until it has ended."""
    for turn in range(12):
        if case.status in ENDED:
            break
        chance = case.course.draw(f"{case.name} turn {turn}")
        options = _NEXT[case.status]
        what = chance.choices(list(options), list(options.values()))[0]
        case.course.story.steps.append(f"case {case.status}: {what}")
        before = case.status
        if what == "silence":
            await _changed(case, before)
            continue
        await _STEPS[what](case, chance)
        await case.look()
        if case.status == before:
            # Refused: for want of goods, because it is held, or because silence comes first.
            await case.course.story.pause(2.0)
    await _ended(case)


async def _changed(case: Case, before: str) -> None:
    words = f"case {case.seen['number']} of order {case.course.order['number']} moves on from {before}"
    await case.course.story.pause(case.course.story.world.place.times["aftersales_answer"])
    await case.course.story.until(case.look, lambda c: c["status"] != before, words, seconds=90)


async def _ended(case: Case) -> None:
    words = f"case {case.seen['number']} of order {case.course.order['number']} ends"
    await case.course.story.until(case.look, lambda c: c["status"] in ENDED, words, seconds=150)
    case.course.story.world.tally.cases[f"ended {case.status}"] += 1


async def _agree(case: Case, chance: Any) -> None:
    body: dict[str, Any] = {"return_address": _ADDRESS}
    if chance.random() < 0.2 and case.course.order["shipping_amount"]:
        body["shipping_amount"] = chance.randint(1, case.course.order["shipping_amount"])
    answer = await case.by_shop("agree", body)
    if answer.code == "out_of_stock":
        await case.by_shop("agree", {**body, "as": "refund"})


async def _cancel_and_agree(case: Case, chance: Any) -> None:
    both = case.by_buyer("cancel"), case.by_shop("agree", {"return_address": _ADDRESS})
    await case.course.story.both(*both, "cancel and agree", one=False)


async def _refuse(case: Case, chance: Any) -> None:
    await case.by_shop("refuse", {"reason": "不同意"})


async def _decide(case: Case, chance: Any) -> None:
    body: dict[str, Any] = {"outcome": chance.choice(["refund", "refund", "reject"]), "reason": "裁定"}
    estimate = case.seen["estimate"]
    if body["outcome"] == "refund" and estimate and chance.random() < 0.5:
        body["amount"] = chance.randint(0, estimate["goods"])
    await case.decided(body)


async def _cancel(case: Case, chance: Any) -> None:
    await case.by_buyer("cancel")


async def _send(case: Case, chance: Any) -> None:
    await case.by_buyer(
        "return-parcel", {"carrier": chance.choice(CARRIERS), "waybill_no": f"R{uuid4().hex[:10]}"}
    )


async def _send_and_cancel(case: Case, chance: Any) -> None:
    body = {"carrier": "sf", "waybill_no": f"R{uuid4().hex[:10]}"}
    both = case.by_buyer("return-parcel", body), case.by_buyer("cancel")
    await case.course.story.both(*both, f"case {case.seen['number']}: goods sent and taken back", one=True)


async def _receive(case: Case, chance: Any) -> None:
    await case.by_shop("receive", {"restock": chance.random() < 0.6})


async def _reject(case: Case, chance: Any) -> None:
    await case.by_shop("receive", {"accepted": False, "reason": "破损"})


async def _receive_and_decide(case: Case, chance: Any) -> None:
    decision = {"outcome": "refund", "reason": "裁定"}
    await asyncio.gather(case.by_shop("receive", {"restock": True}), case.decided(decision))


async def _reship(case: Case, chance: Any) -> None:
    await case.by_shop("reship", {"carrier": "sf", "waybill_no": f"E{uuid4().hex[:10]}"})


async def _convert(case: Case, chance: Any) -> None:
    await case.by_shop("convert")


async def _confirm(case: Case, chance: Any) -> None:
    await case.by_buyer("confirm")


async def _arbitrate(case: Case, chance: Any) -> None:
    await case.by_buyer("arbitrate", {"reason": "不服"})


async def _again(case: Case, chance: Any) -> None:
    """The same is asked for once more, which closes the refused case."""
    lines = [{"line_id": line["line_id"], "quantity": line["quantity"]} for line in case.seen["lines"]]
    body = {"kind": case.seen["kind"], "lines": lines, "reason": "再次申请"}
    made = await case.course.by_buyer("aftersales", body, may=_APPLY_MAY)
    if made.ok:
        await _follow(Case(case.course, made.body, f"{case.name} again"))


_STEPS: dict[str, Callable[[Case, Any], Awaitable[None]]] = {
    "agree": _agree,
    "refuse": _refuse,
    "cancel": _cancel,
    "cancel and agree": _cancel_and_agree,
    "decide": _decide,
    "send": _send,
    "send and cancel": _send_and_cancel,
    "receive": _receive,
    "reject": _reject,
    "receive and decide": _receive_and_decide,
    "reship": _reship,
    "convert": _convert,
    "confirm": _confirm,
    "arbitrate": _arbitrate,
    "again": _again,
}
