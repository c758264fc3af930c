"""A purchase with all logging on: every line says where it belongs, and none says anything about a person."""

import json
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import Deployment
from tests.support.walk import PASSWORD, Walker, buy, sellable, wait_for

_PERSON = {
    "recipient": "欧阳测试",
    "phone": "13987654321",
    "province": "上海市",
    "city": "上海市",
    "district": "徐汇区",
    "street": "密语路四十二弄七号",
}


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    folder = Path(tempfile.mkdtemp(prefix="jishi-logs-"))
    running = Deployment(folder, JISHI_LOG="json", JISHI_ACCESS_LOG="1").start()
    yield running
    assert running.stop(signal.SIGTERM) == 0
    shutil.rmtree(folder, ignore_errors=True)


def _lines(deployment: Deployment) -> list[dict[str, Any]]:
    return [json.loads(line) for line in deployment.log.read_text().splitlines() if line.startswith("{")]


def test_a_purchase_leaves_lines_that_belong_together_and_no_personal_data(deployment: Deployment) -> None:
    buyer = Walker(deployment.url, "buyer3", "shop")
    address = buyer.post("/api/shop/addresses", {**_PERSON, "is_default": True})
    shops = buyer.get("/api/shop/merchants")["items"]
    trade = buy(buyer, [sellable(buyer, shops[0]["id"])[0]["id"]])
    assert buyer.get(f"/api/shop/trades/{trade['id']}")["status"] == "paid"
    assert buyer.call("POST", "/api/shop/checkout", json={"expected_payable": 1}).status_code >= 400
    found = wait_for(lambda: _lines(deployment), lambda lines: len(lines) > 10)
    access = [line for line in found if line["event"] == "request"]
    assert access
    for line in access:
        assert {"request_id", "audience", "route", "generation", "method", "status", "milliseconds"} <= set(
            line
        )
    checkout = next(line for line in access if line["route"] == "checkout" and line["status"] == 201)
    assert checkout["trade_id"] == trade["id"]
    assert checkout["audience"] == "shop"
    text = deployment.log.read_text()
    secrets = (
        *(_PERSON[k] for k in ("recipient", "phone", "street")),
        PASSWORD,
        buyer.token,
        buyer.token.split(".")[0],
        "buyer3",
        "Bearer",
    )
    json_text = "\n".join(json.dumps(line, ensure_ascii=False) for line in found)
    assert [s for s in secrets if s in json_text] == []
    assert not any(s in text for s in (_PERSON["phone"], _PERSON["street"], buyer.token)), address
