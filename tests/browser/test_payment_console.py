"""The sandbox's console in a real browser: pay, close and pay late by its buttons, under its own content policy."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from core.db import calls
from core.deployment.runtime import Runtime
from core.kit.ids import new_id
from core.payment import sandbox as client_of_sandbox
from core.payment.provider import FinishOrder, Leg, Outside, PaymentOrder, PayoutOrder, RefundOrder, base_url
from core.payment.sandbox import SandboxProvider

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
async def outside(runtime: Runtime) -> AsyncIterator[Outside]:
    async with calls.client(base_url=base_url(runtime.env.settings), trust_env=False) as http:
        yield Outside(runtime.env, http, runtime.tx)


async def _open(outside: Outside, *amounts: int) -> PaymentOrder:
    legs = [Leg(new_id(), amount) for amount in amounts]
    order = PaymentOrder(
        new_id(), new_id(), sum(amounts), legs, "Trade 2607010000000000000001", outside.clock()
    )
    await SandboxProvider().create(outside, order)
    return order


async def test_the_console_pays_closes_and_shows(outside: Outside, browser: Browser) -> None:
    provider, settings = SandboxProvider(), outside.env.settings
    done = await _open(outside, 9_300, 1_250)
    await client_of_sandbox.pay(outside, done.payment_id)
    shop = done.legs[0].merchant_id
    await provider.refund(outside, RefundOrder(new_id(), done.payment_id, shop, 4_250, "half"))
    await provider.finish(outside, FinishOrder(new_id(), done.payment_id, shop))
    await provider.pay_out(outside, PayoutOrder(new_id(), shop, 5_000))
    paid, closed, heard = [(await _open(outside, n)).payment_id for n in (100, 200, 300)]
    page = await browser.new_page(viewport={"width": 1200, "height": 1000})
    wrong: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{settings.sandbox_url}/?account={settings.sandbox_account}")

    async def press(amount: str, text: str) -> None:
        row = page.locator("#payments tr", has_text=amount).first
        await row.get_by_role("button", name=text, exact=True).click()
        await page.wait_for_load_state()

    await press("1.00", "支付 Pay")
    await press("2.00", "关闭 Close")
    await press("2.00", "仍然支付 Pay late")
    await press("3.00", "支付但丢失通知 Pay, notice lost")
    await page.get_by_role("button", name="银行退回 Bank returns it").click()
    await page.fill("#notify_delay", "50")
    await page.get_by_role("button", name="保存 Save").click()
    await page.wait_for_load_state()
    if "JISHI_SCREENSHOTS" in os.environ:
        await page.screenshot(
            path=str(Path(os.environ["JISHI_SCREENSHOTS"]) / "payments.png"), full_page=True
        )
    found = [(await provider.query(outside, payment)).status for payment in (paid, closed, heard)]
    assert found == ["paid"] * 3
    books = await client_of_sandbox.books(outside)
    assert books.merchants == {shop: 5_050}
    assert await page.input_value("#notify_delay") == "50"
    assert not wrong
    assert all(url.startswith((settings.sandbox_url, "data:")) for url in asked)
    await page.close()
