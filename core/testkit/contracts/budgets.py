"""How many statements a plugin's hooks send."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from core import hookspecs
from core.hooks import Kind
from core.plugin import Plugin
from core.testkit.contracts.manifest import implementations
from core.testkit.contracts.subject import Subject
from core.testkit.counting import statements
from core.testkit.market import Article, Market, Person
from core.types.orders import Placement

LOADS = 1
GUARDS_PER_ORDER = 4
_LINES = (1, 8)


class Count(msgspec.Struct, frozen=True):
    """One call of a hook: its statements, and the orders it was about."""

    hook: str
    statements: int
    orders: int


async def statements_per_hook(subject: Subject) -> list[str]:
    """A load sends at most one statement, a guard four for each order, whatever the number of lines."""
    counts: list[Count] = []
    classes = {**subject.classes, subject.name: counting(subject.cls, counts)}
    async with subject.market(classes) as market:
        await _walk(market, subject)
    return judge(subject.name, counts)


def judge(name: str, counts: list[Count]) -> list[str]:
    """Which hooks sent too many."""
    found = {}
    for count in counts:
        kind = getattr(getattr(hookspecs, count.hook), "jishi_kind", None)
        if kind is Kind.LOAD and count.statements > LOADS:
            found[count.hook] = (
                f"{name}.{count.hook} sent {count.statements} statements; a load sends at most {LOADS}: read all"
                " at once, and keep what holds for everybody in the process."
            )
        if kind is Kind.GUARD and count.statements > GUARDS_PER_ORDER * count.orders:
            found[count.hook] = (
                f"{name}.{count.hook} sent {count.statements} statements for {count.orders} order(s); a guard sends"
                f" at most {GUARDS_PER_ORDER} for each: batch over lines."
            )
    return list(found.values())


def counting(cls: type[Plugin], counts: list[Count]) -> type[Plugin]:
    """The same plugin, each call of whose hooks is noted."""
    wrapped = {
        name: _counted(name, function, counts)
        for name, function in implementations(cls).items()
        if hasattr(hookspecs, name)
    }
    return type(cls.__name__, (cls,), {**wrapped, "__module__": cls.__module__, "__doc__": cls.__doc__})


def _counted(name: str, function: Callable[..., Any], counts: list[Count]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def counted(self: Any, tx: Any, subject: Any) -> Any:
        before = tx.statements - tx.frames
        try:
            return await function(self, tx, subject)
        finally:
            orders = len(subject.orders) if isinstance(subject, Placement) else 1
            counts.append(Count(name, tx.statements - tx.frames - before, orders))

    return counted


async def _walk(market: Market, subject: Subject) -> None:
    """Look at goods, buy one and many of two shops, have them delivered, give one back, give one up."""
    shops = [await market.merchant(slug) for slug in ("budget-a", "budget-b")]
    goods = [await market.product(shop, price=5000 + 100 * n) for n in range(_LINES[-1]) for shop in shops]
    person = await market.buyer()
    for count in _LINES:
        chosen = goods[: 2 * count]
        options = await _options(market, subject, person, chosen)
        for page in ("/api/shop/products", f"/api/shop/products/{chosen[0].product}"):
            await _good(person, "GET", page)
        trade = await market.purchase(person, [(a, 1) for a in chosen], options)
        await market.drain()
        await market.fulfil(person, trade)
        await market.drain()
        await _refund(market, trade)
    options = await _options(market, subject, person, goods)
    placed = await person.checkout(*((a.ref, 1) for a in goods), options=options)
    assert placed.status_code == 201, placed.text
    await _good(person, "POST", f"/api/shop/trades/{placed.json()['id']}/close")
    await market.drain()


async def _refund(market: Market, trade: Mapping[str, Any]) -> None:
    """All of a trade's first order goes back."""
    operator = await market.operator()
    await _good(
        operator,
        "POST",
        f"/api/platform/orders/{trade['orders'][0]['id']}/refunds",
        {"reason": "contract"},
    )
    await market.drain()


async def _options(
    market: Market, subject: Subject, person: Person, goods: list[Article]
) -> Mapping[str, Any]:
    return await subject.prepare(market, person, goods) if subject.prepare is not None else {}


async def _good(person: Person, method: str, path: str, body: object = None) -> Any:
    answer = await person.call(method, path, body if method == "GET" else body or {})
    assert answer.status_code < 300, f"{method} {path}: {answer.text}"
    return answer.json()


async def statements_per_line(subject: Subject) -> list[str]:
    """Cart, quote and checkout send as many statements for eight lines as for one."""
    async with subject.market() as market:
        shop = await market.merchant("budget")
        goods = [await market.product(shop, price=5000 + 100 * n) for n in range(_LINES[-1])]
        person = await market.buyer()
        sent: dict[str, list[int]] = {}
        # The first round fills what processes keep in memory.
        for count in (_LINES[0], *_LINES):
            chosen = goods[:count]
            options = await _options(market, subject, person, chosen)
            for step, total in (await _counts(person, chosen, options)).items():
                sent.setdefault(step, []).append(total)
    return [
        f"With {subject.name}, {step} sends {many} statements for {_LINES[-1]} lines and {one} for one; it must be the same."
        for step, (_, one, many) in sent.items()
        if many > one
    ]


async def _counts(person: Person, goods: list[Article], options: Mapping[str, Any]) -> dict[str, int]:
    found = {}
    for article in goods:
        await _good(person, "PUT", f"/api/shop/cart/lines/{article.ref}", {"quantity": 1, "selected": True})
    with statements() as seen:
        await _good(person, "GET", "/api/shop/cart")
    found["the cart"] = len(seen)
    wanted = {"lines": [{"sku_id": a.ref, "quantity": 1} for a in goods], "options": options}
    with statements() as seen:
        quote = await _good(person, "POST", "/api/shop/quote", wanted)
    found["the quote"] = len(seen)
    with statements() as seen:
        await _good(person, "POST", "/api/shop/checkout", wanted | {"expected_payable": quote["payable"]})
    found["checkout"] = len(seen)
    return found
