"""The service in this process, and one market's calls to it."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from core.kit.crypto import Vault
from core.kit.ids import new_id
from core.sandbox import messages, signing
from core.sandbox.app import opened

KEY = b"sandbox tests sandbox tests sand"


class Caller:
    """One market that asks the service."""

    def __init__(self, http: httpx.AsyncClient, account: str = "market", key: bytes = KEY) -> None:
        self.http, self.account, self.sign = http, account, Vault(key).sandbox_sign

    def headers(self, method: str, path: str, body: bytes = b"", *, age: int = 0) -> dict[str, str]:
        """Of a signed request that is `age` seconds old."""
        return signing.request_headers(self.sign, self.account, method, path, body, int(time.time()) - age)

    async def call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """A signed request; its answer's signature is checked."""
        content = b"" if body is None else msgspec.json.encode(body)
        headers = self.headers(method, path, content)
        answer = await self.http.request(method, path, content=content, headers=headers)
        nonce = headers[signing.NONCE]
        assert signing.is_answer(self.sign, answer.headers, nonce, answer.status_code, answer.content)
        return answer

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of a good answer."""
        answer = await self.call(method, path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Status and code of a refusal."""
        answer = await self.call(method, path, body)
        return answer.status_code, answer.json()["code"]

    async def open(self, *amounts: int, url: str = "http://market/notifications") -> tuple[UUID, list[UUID]]:
        """A payment with a leg of each amount; its id and the merchants'."""
        payment, shops = new_id(), [new_id() for _ in amounts]
        legs = [messages.LegIn(shop, amount) for shop, amount in zip(shops, amounts, strict=True)]
        order = messages.PaymentIn(payment, sum(amounts), legs, url, datetime(2026, 1, 1, tzinfo=UTC))
        await self.ask("POST", "/payments", order)
        return payment, shops

    async def pay(self, payment: UUID, **how: bool) -> Any:
        """The buyer pays."""
        return await self.ask("POST", f"/payments/{payment}/pay", how)

    async def paid(self, *amounts: int) -> tuple[UUID, list[UUID]]:
        """A payment that was paid."""
        payment, shops = await self.open(*amounts)
        await self.pay(payment)
        return payment, shops

    async def behave(self, **how: int) -> None:
        """Have the service behave like this."""
        await self.ask("PUT", "/behaviour", how)

    async def books(self) -> dict[str, Any]:
        """All balances, empty ones left out."""
        found = await self.ask("GET", "/books")
        return {name: held for name, held in found.items() if held}


class Inbox(httpx.AsyncBaseTransport):
    """Where notifications arrive: (account, message), answered with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[str, Mapping[str, Any]]] = []
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.got.append((request.headers[signing.ACCOUNT], msgspec.json.decode(await request.aread())))
        return httpx.Response(self.status)

    def amounts(self) -> Sequence[int]:
        return [message["amount"] for _, message in self.got]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def http(tmp_path: Path, inbox: Inbox) -> AsyncIterator[httpx.AsyncClient]:
    async with opened(
        tmp_path / "sandbox.sqlite", Vault(KEY).sandbox_sign, transport=inbox, synchronous="off"
    ) as app:
        transport: Any = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9") as made:
            yield made


@pytest.fixture
def caller(http: httpx.AsyncClient) -> Caller:
    return Caller(http)


@pytest.fixture
def another(http: httpx.AsyncClient) -> Callable[..., Caller]:
    """`another("name")`: a caller for another account."""
    return lambda account, key=KEY: Caller(http, account, key)
