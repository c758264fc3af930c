"""The console page: what its buttons do, and that only the page itself can press them."""

from typing import Any

import httpx
import pytest

from core.kit.ids import new_id

Caller = Any
OWN = {"Origin": "http://127.0.0.1:9", "Sec-Fetch-Site": "same-origin"}


async def press(http: httpx.AsyncClient, action: str, headers: Any = OWN, **fields: Any) -> httpx.Response:
    data = {"account": "market"} | {k: str(v) for k, v in fields.items()}
    return await http.post(f"/console/{action}", data=data, headers=headers)


async def test_an_empty_service_has_a_page(http: httpx.AsyncClient) -> None:
    answer = await http.get("/")
    assert answer.status_code == 200
    assert "no payments yet" in answer.text
    assert "script" not in answer.text
    assert "http" not in answer.text.replace("http-equiv", "")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_the_buttons_pay_close_and_tell(caller: Caller, http: httpx.AsyncClient, inbox: Any) -> None:
    (first, _), (second, _), (third, _) = [await caller.open(n) for n in (100, 200, 300)]
    answer = await press(http, "pay", id=first)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?account=market")
    assert inbox.amounts() == [100]
    await press(http, "tell", id=first)
    assert inbox.amounts() == [100, 100]
    await press(http, "close", id=second)
    refused = await press(http, "pay", id=second)
    assert refused.status_code == 409
    assert "This payment was closed." in refused.text
    await press(http, "pay-late", id=second)
    assert inbox.amounts() == [100, 100, 200]
    await press(http, "pay-unheard", id=third)
    assert inbox.amounts() == [100, 100, 200]
    text = (await http.get("/")).text
    assert text.count("已支付 paid") == 3
    assert text.count("market told") == 2


async def test_payouts_refunds_balances_and_behaviour_are_shown_and_changed(
    caller: Caller, http: httpx.AsyncClient
) -> None:
    payment, (shop,) = await caller.paid(100)
    leg = {"payment_id": payment, "merchant_id": shop}
    await caller.ask("POST", "/refunds", {"id": new_id(), **leg, "amount": 30})
    await caller.ask("POST", "/finishes", {"id": new_id(), **leg})
    payout = new_id()
    await caller.ask("POST", "/payouts", {"id": payout, "merchant_id": shop, "amount": 60})
    assert "银行退回" in (await http.get("/?account=market")).text
    for _ in range(2):
        assert (await press(http, "return", id=payout)).status_code == 303
    assert (await caller.books())["merchants"] == {str(shop): 70}
    assert (await press(http, "behaviour", notify_delay=" 250 ", seed=3)).status_code == 303
    assert (await caller.ask("GET", "/behaviour"))["notify_delay"] == 250
    assert 'value="250"' in (await http.get("/")).text
    assert (await press(http, "behaviour", fail_before=101)).status_code == 422


async def test_markup_in_what_markets_say_is_shown_as_text(another: Any, http: httpx.AsyncClient) -> None:
    await another("<script>x").paid(1)
    await another("other").paid(1)
    text = (await http.get("/", params={"account": "<script>x"})).text
    assert "<script" not in text
    assert "&lt;script&gt;x" in text
    assert (await http.get("/?before=0")).status_code == 200
    assert (await http.get("/?before=x")).status_code == 422


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://127.0.0.1:9", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example:9", "Host": "evil.example:9", "Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_forms_of_other_pages_are_refused(
    caller: Caller, http: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    payment, _ = await caller.open(100)
    answer = await press(http, "pay", headers, id=payment)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await caller.ask("GET", f"/payments/{payment}"))["status"] == "open"


async def test_other_names_for_this_machine_do_not_show_the_page(http: httpx.AsyncClient) -> None:
    for host, status in (
        ("evil.example", 403),
        ("evil.example:9", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
        ("localhost:9", 200),
        ("127.0.0.1", 200),
        ("[::1]:9", 200),
    ):
        assert (await http.get("/", headers={"Host": host})).status_code == status, host


@pytest.mark.parametrize(
    ("action", "row"), [("nothing", new_id()), ("pay", "x"), ("pay", new_id()), ("pay", "")]
)
async def test_buttons_that_are_not_there(http: httpx.AsyncClient, action: str, row: Any) -> None:
    assert (await press(http, action, id=row)).status_code == 404
