"""Fills an empty market with the demo: through the same services that people use.

Every shop and every buyer is one transaction. What is there already is left alone, so that a second run does nothing
and a run that was cut off is completed. The last transaction makes the operator and whatever plugins have to show
(`Plugin.demo`): once the operator is there, nothing of plugins is added any more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from core.catalog import categories, transfer
from core.catalog.schemas import CategoryIn
from core.db.tx import Tx, TxFactory
from core.identity import accounts, addresses, staff
from core.identity.schemas import AddressInput
from core.kit.errors import JishiError
from core.kit.geo import Point
from core.kit.ids import MARKET_ID, parse_ref, ref
from core.merchants import service as merchants
from core.merchants.schemas import LicenceIn, MerchantIn, OwnerIn
from core.plugin import Plugin, PluginError
from core.types.demo import Demo
from core.types.scope import SYSTEM

PASSWORD = "demo-pass-1"  # noqa: S105 -- shown to everybody who starts the demo
OPERATOR = "operator"
BUYERS = tuple(f"buyer{n}" for n in range(1, 10))
FOLDER = Path(__file__).parent

# Each open transaction takes a connection of the pool; hashing a password takes a thread.
_AT_ONCE = 3
_STREETS: tuple[tuple[str, str, Point], ...] = (
    ("渝中区", "解放碑民权路 {n} 号", Point(106.5786, 29.5583)),
    ("江北区", "观音桥步行街 {n} 号", Point(106.5322, 29.5750)),
    ("南岸区", "南滨路 {n} 号", Point(106.5856, 29.5525)),
    ("沙坪坝区", "三峡广场 {n} 号", Point(106.4606, 29.5574)),
    ("九龙坡区", "杨家坪正街 {n} 号", Point(106.5166, 29.5072)),
)


class DemoShop(msgspec.Struct, frozen=True):
    """A shop of the demo; `products` is a file beside this one."""

    slug: str
    name: str
    about: str
    location: Point
    address: str
    phone: str
    licence: dict[str, str]
    logo: str
    products: str


class DemoBranch(msgspec.Struct, frozen=True):
    """A category of the market with what is below it."""

    name: str
    children: tuple[str, ...]


class DemoMarket(msgspec.Struct, frozen=True):
    """The demo as it stands in market.json."""

    categories: tuple[DemoBranch, ...]
    merchants: tuple[DemoShop, ...]


class SeedReport(msgspec.Struct, frozen=True):
    """What a run added; all zero when everything was there."""

    categories: int = 0
    merchants: int = 0
    products: int = 0
    accounts: int = 0
    plugins: tuple[str, ...] = ()


def load() -> DemoMarket:
    """The demo's data."""
    return msgspec.json.decode((FOLDER / "market.json").read_bytes(), type=DemoMarket)


async def seed(new_tx: TxFactory, *, tools: bool = True) -> SeedReport:
    """Add what is missing of the demo market, with the demos of the plugins that are on unless `tools` is false. Safe to
    repeat, also after a crash in the middle. Raises `PluginError` when a plugin's demo is refused."""
    market = load()
    added = await _categories(new_tx, market.categories)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def bounded(work: Callable[[TxFactory], Awaitable[Any]]) -> Any:
        async with gate:
            return await work(new_tx)

    shops = [_shop(shop) for shop in market.merchants]
    people = [_buyer(n, login) for n, login in enumerate(BUYERS, 1)]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(bounded(work)) for work in (*shops, *people)]
    results = [task.result() for task in running]
    products = [count for count in results[: len(shops)] if count is not None]
    buyers = sum(1 for new in results[len(shops) :] if new)
    shown = await _open(new_tx, market, tools=tools)
    return SeedReport(
        added,
        len(products),
        sum(products),
        len(products) + buyers + (shown is not None),
        tuple(shown or ()),
    )


async def _categories(new_tx: TxFactory, branches: Sequence[DemoBranch]) -> int:
    async with new_tx(SYSTEM) as tx:
        tree = (await categories.tree(tx)).items
        roots = {node.name: node.id for node in tree}
        leaves = {(node.id, child.name) for node in tree for child in node.children}
        added = 0
        for position, branch in enumerate(branches):
            if branch.name not in roots:
                made = await categories.create(tx, CategoryIn(branch.name, None, position))
                roots[branch.name] = made.id
                added += 1
            parent = roots[branch.name]
            for place, leaf in enumerate(branch.children):
                if (parent, leaf) not in leaves:
                    await categories.create(tx, CategoryIn(leaf, parent, place))
                    added += 1
    return added


def _shop(shop: DemoShop) -> Callable[[TxFactory], Awaitable[int | None]]:
    """One shop, from its application to its products; the number of these, or None if the shop was there."""

    async def run(new_tx: TxFactory) -> int | None:
        async with new_tx(SYSTEM) as tx:
            if await tx.fetchval("select exists (select from merchant where slug = $1)", shop.slug):
                return None
            merchant = await merchants.apply(tx, _application(shop))
            merchant_id = parse_ref(merchant.id)
            await merchants.approve(tx, merchant_id)
            report = await transfer.import_csv(tx, merchant_id, (FOLDER / shop.products).read_bytes())
            assert not report.refused, f"{shop.products}: {report.refused[0]}"
            return report.products

    return run


def _application(shop: DemoShop) -> MerchantIn:
    return MerchantIn(
        name=shop.name,
        slug=shop.slug,
        owner=OwnerIn(shop.slug, PASSWORD),
        location=shop.location,
        about=shop.about,
        image_url=shop.logo,
        licence=LicenceIn(**shop.licence, address=shop.address, phone=shop.phone),
    )


async def _operator(new_tx: TxFactory) -> bool:
    async with new_tx(SYSTEM) as tx:
        return await _make_operator(tx)


async def _open(new_tx: TxFactory, market: DemoMarket, *, tools: bool) -> list[str] | None:
    """The operator and the plugins' demos; the names of these, or None if the operator was there."""
    async with new_tx(SYSTEM) as tx:
        if not await _make_operator(tx):
            return None
        plugins = [p for p in tx.snapshot.active.values() if type(p).demo is not Plugin.demo] if tools else []
        if plugins:
            found = await _found(tx, market)
            for plugin in plugins:
                await _show(tx, plugin, found)
    return [plugin.name for plugin in plugins]


async def _show(tx: Tx, plugin: Plugin, found: Demo) -> None:
    try:
        await plugin.demo(tx, found)
    except JishiError as error:
        fields = "".join(f"\n  {fault.field}: {fault.detail}" for fault in error.extra.get("errors", ()))
        raise PluginError(f"The demo of plugin {plugin.name} is refused: {error.detail}{fields}") from error


async def _found(tx: Tx, market: DemoMarket) -> Demo:
    slugs = [shop.slug for shop in market.merchants]
    shops = await tx.fetch("select slug, id from merchant where slug = any($1)", slugs)
    ids = [row["id"] for row in shops]
    people = await tx.fetch(
        "select login, id from account where login = any($1)", [OPERATOR, *slugs, *BUYERS]
    )
    products = await tx.fetch(
        "select merchant_id, id, handle from product where merchant_id = any($1) and status = 'listed'", ids
    )
    skus = await tx.fetch(
        "select s.merchant_id, s.id, s.code from sku s"
        " join product p on (p.merchant_id, p.id) = (s.merchant_id, s.product_id)"
        " where s.merchant_id = any($1) and p.status = 'listed' and s.status = 'active' and s.code is not null",
        ids,
    )
    return Demo(
        shops={row["slug"]: row["id"] for row in shops},
        accounts={row["login"]: row["id"] for row in people},
        products={row["handle"]: ref(row["merchant_id"], row["id"]) for row in products},
        skus={row["code"]: ref(row["merchant_id"], row["id"]) for row in skus},
    )


async def _make_operator(tx: Tx) -> bool:
    if await _known(tx, OPERATOR):
        return False
    account_id = await accounts.create_account(tx, OPERATOR, PASSWORD, "Operator")
    await staff.add(tx, MARKET_ID, account_id, ["admin"])
    return True


def _buyer(n: int, login: str) -> Callable[[TxFactory], Awaitable[bool]]:
    async def run(new_tx: TxFactory) -> bool:
        async with new_tx(SYSTEM) as tx:
            if await _known(tx, login):
                return False
            account_id = await accounts.create_account(tx, login, PASSWORD, f"演示买家 {n}")
            await addresses.add(tx, account_id, _address(n))
        return True

    return run


def _address(n: int) -> AddressInput:
    district, street, place = _STREETS[n % len(_STREETS)]
    return AddressInput(
        recipient=f"买家{n}", phone=f"1380000000{n}", province="重庆市", city="重庆市", district=district,
        street=street.format(n=n), location=place, is_default=True,
    )  # fmt: skip


async def _known(tx: Tx, login: str) -> UUID | None:
    found: UUID | None = await tx.fetchval("select id from account where login = $1", login)
    return found
