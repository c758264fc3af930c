"""The main job on real input: a market is started, a fourth shop imports a catalog in Shopify's format, one buyer pays once
for three shops, and the money is followed to each merchant; and the same while everything is killed at random."""

import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from core.kit.settings import Settings
from tests.support.deployment import Deployment
from tests.support.walk import PASSWORD, Walker, buy, fill_cart, fulfil, pay, sellable, wait_for

SHARED = Path(__file__).parents[3] / "shared" / "data" / "shopify-apparel.csv"
SAMPLE = """Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Fulfillment Service,Variant Price,Variant Compare At Price,Variant Requires Shipping,Variant Taxable,Image Src,Image Position
plain-shirt,Plain Shirt,"Cotton, with a narrow collar.",demo,,men,true,Title,Default Title,PS-1,200,,40,deny,manual,50.00,65.00,true,true,https://example.com/shirt.jpg,1
varsity-top,Varsity Top,Casual top.,demo,,women,true,Size,Small,VT-S,180,,40,deny,manual,60.5,,true,true,,
varsity-top,,,,,,,,Medium,VT-M,180,,40,deny,manual,60.5,,true,true,,
"""


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """One for both: what was killed comes back as a market like any other."""
    deployment = Deployment(
        JISHI_AFTERSALES_WINDOW="0", JISHI_UNPAID_TTL="600", JISHI_RATE_LIMITS="0"
    ).start()
    yield deployment
    if deployment.process is not None and deployment.process.poll() is None:
        deployment.stop()
    shutil.rmtree(deployment.folder, ignore_errors=True)


def _open_shop(operator: Walker, slug: str) -> tuple[Walker, Any]:
    shop = operator.post(
        "/api/platform/merchants",
        {
            "name": "衣橱 Wardrobe",
            "slug": slug,
            "location": {"lng": 106.55, "lat": 29.56},
            "owner": {"login": slug, "password": PASSWORD},
        },
    )
    assert shop["status"] == "applied"
    operator.post(f"/api/platform/merchants/{shop['id']}/approve")
    return Walker(str(operator.http.base_url), slug, "merchant", patience=operator.patience), shop


def _import(owner: Walker) -> None:
    data = SHARED.read_bytes() if SHARED.exists() else SAMPLE.encode()
    answer = owner.call(
        "POST", "/api/merchant/products/import", files={"file": ("apparel.csv", data, "text/csv")}
    )
    assert answer.status_code in (200, 201), answer.text
    report = answer.json()
    assert report["refused"] == []
    assert report["products"] >= 2
    for row in owner.get("/api/merchant/stock", limit=100)["items"]:
        if row["available"] < 40:
            owner.post(
                "/api/merchant/stock/moves", {"sku_id": row["sku_id"], "delta": 40, "reason": "delivery"}
            )


def _merchants(walker: Walker, count: int) -> list[Any]:
    return [m for m in walker.get("/api/shop/merchants", limit=50)["items"] if m["name"] != "衣橱 Wardrobe"][
        :count
    ]


def _owner_of(deployment: Deployment, merchant: Any, **kwargs: Any) -> Walker:
    return Walker(deployment.url, merchant["slug"], "merchant", **kwargs)


def test_killing_anything_at_any_time_loses_nothing(deployment: Deployment) -> None:
    seed = random.randrange(10**6)
    try:
        _purchases_under_fire(deployment, random.Random(seed))
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}\n{deployment.log.read_text()[-3000:]}") from error


def _purchases_under_fire(deployment: Deployment, chance: random.Random) -> None:
    operator = Walker(deployment.url, "operator", "platform", patience=60)
    template = operator.post(
        "/api/platform/coupons/templates",
        {
            "name": "券",
            "kind": "amount",
            "amount": 500,
            "threshold": 0,
            "scope": {"kind": "all", "ids": []},
            "total": 100,
            "per_account": 5,
            "claim": "open",
            "valid": {"days": 7},
        },
    )
    buyers = [Walker(deployment.url, f"buyer{n}", "shop", patience=60) for n in range(1, 4)]
    merchants = _merchants(buyers[0], 3)
    shops = {m["id"]: _owner_of(deployment, m, patience=60) for m in merchants}
    skus = [sellable(buyers[0], m["id"], at_least=20)[0]["id"] for m in merchants]
    before = _stock(deployment)
    trades: list[Any] = []
    errors: list[BaseException] = []

    def shopping(buyer: Walker) -> None:
        try:
            for _ in range(3):
                buyer.call("POST", f"/api/shop/coupons/templates/{template['id']}/claim")
                cart = fill_cart(buyer, skus)
                key = uuid4().hex
                first = buyer.post(
                    "/api/shop/checkout", {"expected_payable": cart["quote"]["payable"]}, key=key
                )
                again = buyer.post(
                    "/api/shop/checkout", {"expected_payable": cart["quote"]["payable"]}, key=key
                )
                assert again["id"] == first["id"]
                trade = pay(buyer, first["id"])
                trades.append(trade)
                fulfil(buyer, shops, trade)
        except BaseException as error:  # noqa: BLE001 -- shown by the main thread
            errors.append(error)

    threads = [threading.Thread(target=shopping, args=(b,)) for b in buyers]
    for thread in threads:
        thread.start()
    kills = 0
    while any(t.is_alive() for t in threads) and kills < 14:
        time.sleep(chance.uniform(0.2, 1.2))
        kills += deployment.kill(chance.choice(["web", "worker", "postgres", "valkey"]))
    for thread in threads:
        thread.join(240)
    assert not errors, errors[0]
    deployment.kill_everything()
    deployment.start()
    for trade in trades:
        for order in trade["orders"]:
            wait_for(
                lambda order=order: operator.get(
                    "/api/platform/ledger/transfers", reference=order["id"], limit=50
                )["items"],
                lambda rows: any(r["code"].startswith("release") for r in rows),
                seconds=120,
            )
    assert operator.get("/api/platform/ledger/check") == {"balanced": True, "problems": []}
    assert len({t["id"] for t in trades}) == len(trades) == 9
    _agree(deployment, before, skus)


def _stock(deployment: Deployment) -> dict[Any, int]:
    return {r["sku_id"]: r["on_hand"] for r in _sql(deployment, "select sku_id, on_hand from stock")}


def _agree(deployment: Deployment, before: dict[Any, int], skus: list[str]) -> None:
    for row in _sql(
        deployment,
        "select s.sku_id, on_hand, reserved, coalesce(sum(m.on_hand_delta), 0) as moved,"
        " coalesce(sum(m.reserved_delta), 0) as held from stock s left join stock_move m using (merchant_id, sku_id)"
        " group by 1, 2, 3",
    ):
        assert row["reserved"] == row["held"] == 0, row
        assert row["on_hand"] <= before[row["sku_id"]]
    sold = _sql(
        deployment,
        "select sku_id, sum(quantity) as n from order_line l join orders o on o.merchant_id = l.merchant_id"
        " and o.id = l.order_id where o.status = 'completed' group by 1",
    )
    after = _stock(deployment)
    assert {r["sku_id"]: before[r["sku_id"]] - after[r["sku_id"]] for r in sold} == {
        r["sku_id"]: r["n"] for r in sold
    }
    assert len(sold) == len(skus)
    used = _sql(
        deployment,
        "select count(*) as n, count(distinct used_trade_id) as trades from coupons_coupon where used_trade_id is not null",
    )
    applied = _sql(
        deployment, "select count(distinct rule) as n from order_discount where plugin = 'coupons'"
    )
    assert used[0]["n"] == used[0]["trades"] == applied[0]["n"]
    # Effects that were on their way when something was killed are sent again after half a minute.
    total = sum(r["n"] for r in sold)
    wait_for(
        lambda: _sql(deployment, "select coalesce(sum(sales), 0) as n from listing")[0]["n"],
        lambda n: n >= total,
        seconds=120,
    )
    assert _sql(deployment, "select coalesce(sum(sales), 0) as n from listing")[0]["n"] == total


def _sql(deployment: Deployment, statement: str) -> list[Any]:
    import asyncio

    settings = msgspec.json.decode((deployment.folder / "data" / "running.json").read_bytes(), type=Settings)

    async def ask() -> list[Any]:
        connection = await asyncpg.connect(settings.database_url.replace("+asyncpg", ""))
        try:
            async with connection.transaction():
                await connection.execute("set local jishi.scope = 'system'")
                return await connection.fetch(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_one_payment_over_three_shops(deployment: Deployment) -> None:
    operator = Walker(deployment.url, "operator", "platform")
    tailor, shop = _open_shop(operator, "wardrobe")
    _import(tailor)
    buyer = Walker(deployment.url, "buyer4", "shop")
    first, second = _merchants(buyer, 2)
    template = operator.post(
        "/api/platform/coupons/templates",
        {
            "name": "满减券",
            "kind": "amount",
            "amount": 1000,
            "threshold": 2000,
            "scope": {"kind": "all", "ids": []},
            "total": 100,
            "per_account": 1,
            "claim": "open",
            "valid": {"days": 7},
            "merchant_share_bp": 2000,
        },
    )
    buyer.post(f"/api/shop/coupons/templates/{template['id']}/claim")
    skus = [sellable(buyer, m["id"])[0]["id"] for m in (shop, first, second)]
    trade = buy(buyer, skus)
    assert {o["merchant"]["id"] for o in trade["orders"]} == {shop["id"], first["id"], second["id"]}
    assert sum(o["payable"] for o in trade["orders"]) == trade["payable"]
    assert sum(o["discount_amount"] for o in trade["orders"]) == 1000
    shops = {
        shop["id"]: tailor,
        first["id"]: _owner_of(deployment, first),
        second["id"]: _owner_of(deployment, second),
    }
    fulfil(buyer, shops, trade)
    for order in trade["orders"]:
        transfers = wait_for(
            lambda order=order: operator.get(
                "/api/platform/ledger/transfers", reference=order["id"], limit=50
            )["items"],
            lambda rows: any(r["code"].startswith("release") for r in rows),
        )
        payable = sum(r["amount"] for r in transfers if r["credit"]["kind"] == "payable")
        commission = sum(r["amount"] for r in transfers if r["credit"]["kind"] == "revenue")
        borne = sum(r["amount"] for r in transfers if r["debit"]["kind"] == "subsidy")
        assert payable + commission == order["payable"] + borne
        own = shops[order["merchant"]["id"]].get("/api/merchant/ledger")
        assert own["balances"]["payable"] >= payable if isinstance(own.get("balances"), dict) else own
    assert operator.get("/api/platform/ledger/check") == {"balanced": True, "problems": []}
    text = deployment.command("ledger", "trace", trade["orders"][0]["number"])
    assert "payable" in text
    assert buyer.get("/api/shop/coupons", status="used")["items"]
