"""Pages in a real browser: they load, from this server alone, without errors."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from core.demo.seed import seed
from core.deployment.runtime import Runtime
from core.testkit import Server

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.mark.parametrize(("path", "text"), [("/", "commission"), ("/api/docs", "/api/auth/guests")])
async def test_a_page_loads_from_here_alone(
    server: Server, runtime: Runtime, browser: Browser, path: str, text: str
) -> None:
    await seed(runtime.tx)
    page = await browser.new_page(viewport={"width": 1200, "height": 900})
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    await page.goto(server.url + path)
    await page.get_by_text(text).first.wait_for()
    assert not wrong
    assert all(url.startswith((server.url, "data:")) for url in asked)
    if "JISHI_SCREENSHOTS" in os.environ:
        name = path.strip("/").replace("/", "-") or "front"
        await page.screenshot(path=str(Path(os.environ["JISHI_SCREENSHOTS"]) / f"{name}.png"))
    await page.close()
