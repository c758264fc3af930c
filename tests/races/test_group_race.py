"""The last seat of a group, raced by buyers, payments and time; and the controls that sell it twice."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest

from core.api import Conflict, Paying, PayingAnswer, Tx, hookspecs, new_id
from core.deployment.runtime import Runtime
from core.kit.ids import parse_pair, parse_ref
from core.plugin import discover
from core.testkit import Database, Plugins, Server
from core.testkit.market import Market, Person
from core.types.scope import SYSTEM
from plugins.group_buy import buying, endings, seats
from plugins.group_buy.seats import Room, Taking
from tests.support.groups import Scene, scene


@pytest.fixture
def jishi_plugins() -> Plugins:
    """Group-buying by itself."""
    return Plugins(also=(discover()["group_buy"],), only=True)


async def _market(server: Server, runtime: Runtime) -> tuple[Market, httpx.AsyncClient]:
    client = httpx.AsyncClient(base_url=server.url, timeout=60, limits=httpx.Limits(max_connections=60))
    return Market(runtime, client), client


async def test_50_buyers_on_the_last_seat_get_it_once(server: Server, runtime: Runtime) -> None:
    market, client = await _market(server, runtime)
    async with client:
        at = await scene(market, size=3)
        group = await at.open(await market.buyer())
        people = [await market.buyer() for _ in range(50)]
        answers = await asyncio.gather(*(at.try_to_place(person, group) for person in people))
        codes = Counter(a.status_code for a in answers)
        assert codes == {201: 1, 409: 49}, {a.text for a in answers}
        # A full group is seen by the quote inside placing, or where the seat is taken.
        assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"group_full", "price_changed"}
        assert (await at.row(group))["taken"] == 3
        assert await at.sold() == await at.reserved() == 3


async def _race(at: Scene, group: str, many: int = 50) -> Counter[str]:
    """So many buyers take a seat in one group, past the lock on the stock that placing has in front."""
    key = at.shop.id, parse_ref(at.activity), at.article.sku_id
    group_id = parse_pair(group)[1]

    async def take() -> str:
        taking = Taking(*key, group_id, new_id(), new_id(), 1, 7_000)
        try:
            async with at.runtime.tx(SYSTEM) as tx:
                await buying.take(tx, taking)  # type: ignore[arg-type]
        except Conflict as error:
            return error.code
        return "seat"

    return Counter(await asyncio.gather(*(take() for _ in range(many))))


async def _seated(at: Scene, group: str) -> int:
    sql = "select count(*) as n from group_buy_seat where group_id = $1 and status in ('held', 'paid')"
    return int((await at.rows(sql, parse_pair(group)[1]))[0]["n"])


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is placed may be the taking itself."""
    real = buying._taking
    monkeypatch.setattr(buying, "_taking", lambda p: p if isinstance(p, Taking) else real(p))


_UNLOCKED = "select size, expires_at from group_buy_group where merchant_id = $1 and id = $2 and taken < size"


async def _unlocked(tx: Tx, taking: Taking, group_id: UUID) -> Room | None:
    """Looks for a free seat without locking the group."""
    row = await tx.fetchrow(_UNLOCKED, taking.merchant_id, group_id)
    return None if row is None else Room(group_id, row["size"], row["expires_at"], None)


class Together:
    """Takes seats, and goes on once two have one, so that neither has committed before the other sat down."""

    def __init__(self) -> None:
        self.real, self.seated, self.two = seats.sit, 0, asyncio.Event()

    async def __call__(self, tx: Tx, taking: Taking, room: Room) -> int | None:
        before = await self.real(tx, taking, room)
        self.seated += 1
        if self.seated >= 2:
            self.two.set()
        await self.two.wait()
        return before


@pytest.mark.usefixtures("direct")
async def test_the_lock_of_the_group_alone_sells_the_last_seat_once(market: Market) -> None:
    at = await scene(market)
    group = await at.open()
    assert await _race(at, group) == {"seat": 1, "group_full": 49}
    assert await _seated(at, group) == 2


@pytest.mark.usefixtures("direct")
async def test_without_the_lock_the_constraint_still_sells_it_once(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = await scene(market)
    group = await at.open()
    monkeypatch.setattr(seats, "join", _unlocked)
    assert (await _race(at, group))["seat"] == 1
    assert await _seated(at, group) == 2


@pytest.mark.usefixtures("direct")
async def test_control_without_lock_and_constraint_the_seat_is_sold_twice(
    market: Market, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = await scene(market)
    group = await at.open()
    connection = await asyncpg.connect(database.owner_dsn)
    name = "uq_group_buy_seat_merchant_id_group_id_number"
    await connection.execute(f"alter table group_buy_seat drop constraint {name}")
    await connection.close()
    monkeypatch.setattr(seats, "join", _unlocked)
    monkeypatch.setattr(seats, "sit", Together())
    assert (await _race(at, group))["seat"] > 1
    assert await _seated(at, group) > 2


async def test_two_members_who_pay_at_once_for_the_last_two_seats_complete_the_group(
    server: Server, runtime: Runtime
) -> None:
    market, client = await _market(server, runtime)
    async with client:
        at = await scene(market, size=3)
        ways: list[str] = []
        groups = []
        for _ in range(6):
            group = await at.open()
            groups.append(group)
            for member in (await market.buyer(), await market.buyer()):
                trade = await at.place(member, group)
                path = f"/api/shop/trades/{trade}/payments"
                payment = (await member.post(path, {"provider": "sandbox"})).json()
                ways.append(payment["client"]["pay_url"])
        answers = await asyncio.gather(*(client.post(url) for url in ways))
        assert {a.status_code for a in answers} == {200}
        assert {await at.status(group) for group in groups} == {"succeeded"}
        await market.drain()
        assert await at.holds() == set()
        await at.balanced()


async def _ready(at: Scene) -> tuple[str, Person, Paying]:
    """A group of two whose leader has paid, and the payment of its last seat about to be captured."""
    leader, member = await at.market.buyer(), await at.market.buyer()
    group = await at.open(person=leader)
    await at.place(member, group)
    order = parse_pair((await at.mine(member))[0]["order_id"])
    now = at.runtime.clock()
    return group, leader, Paying(*order, new_id(), member.me.account_id, now)


async def _pay(at: Scene, paying: Paying, until: Any) -> PayingAnswer | None:
    """The last payment, a moment before the time is over."""
    async with at.runtime.tx(SYSTEM) as tx:
        tx.now = until - timedelta(milliseconds=1)
        answer: PayingAnswer | None = await dict(tx.hooks.of(hookspecs.order_paying))["group_buy"](tx, paying)
        return answer


async def test_the_last_payment_and_the_end_of_time_at_once_never_do_both(market: Market) -> None:
    at = await scene(market)
    cases = [await _ready(at) for _ in range(10)]

    async def expire(group: str) -> None:
        merchant_id, group_id = parse_pair(group)
        async with at.runtime.tx(SYSTEM) as tx:
            tx.now = (await at.row(group))["expires_at"]
            due = endings.GroupDue(merchant_id, group_id)
            await endings.expire(tx, msgspec.Raw(msgspec.json.encode(due)))

    async def both(n: int) -> PayingAnswer | None:
        group, _, paying = cases[n]
        until = (await at.row(group))["expires_at"]
        steps = [_pay(at, paying, until), expire(group)]
        first, second = await asyncio.gather(*(steps if n % 2 else steps[::-1]))
        return first or second

    answers = await asyncio.gather(*(both(n) for n in range(len(cases))))
    for (group, _, _), answer in zip(cases, answers, strict=True):
        found = await at.status(group), await at.seats(group)
        if answer is None:
            assert found == ("succeeded", ["paid", "paid"])
        else:
            assert answer.outcome == "refund"
            assert found == ("failing", ["leaving", "refused"])


async def test_leaving_and_the_last_payment_at_once_never_do_both(market: Market) -> None:
    at = await scene(market)
    cases = [await _ready(at) for _ in range(10)]

    async def leave(group: str, leader: Person) -> str:
        try:
            async with at.runtime.tx(SYSTEM) as tx:
                await endings.leave(tx, leader.me.account_id, parse_pair(group))
        except Conflict as error:
            return error.code
        return "left"

    async def both(n: int) -> tuple[Any, Any]:
        group, leader, paying = cases[n]
        until = (await at.row(group))["expires_at"]
        steps: list[Any] = [_pay(at, paying, until), leave(group, leader)]
        found = await asyncio.gather(*(steps if n % 2 else steps[::-1]))
        return (found[0], found[1]) if n % 2 else (found[1], found[0])

    answers = await asyncio.gather(*(both(n) for n in range(len(cases))))
    for (group, _, _), (answer, left) in zip(cases, answers, strict=True):
        found = await at.status(group), await at.seats(group)
        if answer is None:
            assert (left, *found) == ("group_over", "succeeded", ["paid", "paid"])
        else:
            assert (answer.outcome, left) == ("refund", "left")
            assert found == ("closed", ["leaving", "refused"])


async def test_an_account_that_opens_twice_at_once_opens_one(server: Server, runtime: Runtime) -> None:
    market, client = await _market(server, runtime)
    async with client:
        at = await scene(market)
        person = await market.buyer()
        answers = await asyncio.gather(*(at.try_to_place(person) for _ in range(8)))
        assert Counter(a.status_code for a in answers) == {201: 1, 409: 7}
        assert len(await at.mine(person)) == 1
        assert await at.sold() == 1


async def test_the_last_piece_of_the_quota_is_sold_once(server: Server, runtime: Runtime) -> None:
    market, client = await _market(server, runtime)
    async with client:
        at = await scene(market, quota=3)
        people = [await market.buyer() for _ in range(12)]
        answers = await asyncio.gather(*(at.try_to_place(person) for person in people))
        assert Counter(a.status_code for a in answers) == {201: 3, 409: 9}
        assert await at.sold() == 3


async def test_a_crowd_that_joins_pays_leaves_and_gives_up_at_once_never_deadlocks(
    server: Server, runtime: Runtime
) -> None:
    market, client = await _market(server, runtime)
    async with client:
        at = await scene(market, size=4)
        groups = [await at.open() for _ in range(3)]
        people = [await market.buyer() for _ in range(18)]
        operator = await market.operator()
        codes: Counter[int] = Counter()

        async def send(person: Person, path: str, body: object = None) -> httpx.Response:
            answer = await person.post(path, body)
            codes[answer.status_code] += 1
            return answer

        async def crowd(n: int) -> None:
            person, group = people[n], groups[n % len(groups)]
            placed = await at.try_to_place(person, group)
            codes[placed.status_code] += 1
            if placed.status_code != 201:
                return
            trade, order = placed.json()["id"], placed.json()["orders"][0]["id"]
            if n % 5 == 4:
                await send(person, f"/api/shop/trades/{trade}/close")
                return
            payment = await send(person, f"/api/shop/trades/{trade}/payments", {"provider": "sandbox"})
            codes[(await client.post(payment.json()["client"]["pay_url"])).status_code] += 1
            if n % 5 == 3:
                await send(person, f"/api/shop/group_buy/groups/{group}/leave")
            elif n % 5 == 2:
                await send(operator, f"/api/platform/orders/{order}/refunds", {"reason": "x"})

        async def drains() -> None:
            for _ in range(4):
                await market.drain()

        await asyncio.gather(*(crowd(n) for n in range(len(people))), drains())
        assert max(codes) < 500, codes
        await market.drain()
        await at.balanced()
        await market.drain(hours=25)
        assert {await at.status(group) for group in groups} <= {"succeeded", "failed", "closed"}
        sold = await at.rows(
            "select sum(units - returned)::int as n from group_buy_seat where status <> 'closed'"
        )
        assert await at.sold() == await at.reserved() == sold[0]["n"]
        await at.balanced()
