"""A small HTTP client: the point is to spend little of its own, so that it does not stand in the way of what is measured."""

import asyncio
from typing import Any

import msgspec


class Connection:
    """One kept-alive connection; one request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """(status, JSON)."""
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        data = b"" if body is None else msgspec.json.encode(body)
        head = [
            f"{method} {path} HTTP/1.1",
            "Host: bench",
            f"Content-Length: {len(data)}",
            "Content-Type: application/json",
        ]
        head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self._writer.write(("\r\n".join(head) + "\r\n\r\n").encode() + data)
        start = await self._reader.readuntil(b"\r\n\r\n")
        lines = start.decode("latin-1").split("\r\n")
        length = next((int(x[15:]) for x in lines if x.lower().startswith("content-length:")), 0)
        answer = await self._reader.readexactly(length)
        return int(lines[0].split(" ")[1]), msgspec.json.decode(answer) if answer else None

    def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()


class Buyer:
    """A signed-in buyer on a connection of its own."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = Connection("127.0.0.1", port)
        self._token = f"Bearer {token}"
        self._serial = 0

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """A successful request's JSON."""
        status, answer = await self.attempt(method, path, body)
        assert status < 300, (method, path, status, answer)
        return answer

    async def attempt(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Any request; a POST that changes something carries a key of its own."""
        extra = {"Authorization": self._token}
        if method == "POST" and path != "/api/shop/quote":
            self._serial += 1
            extra["Idempotency_Key"] = f"{id(self)}-{self._serial}"
        return await self.connection.request(method, path, body, **extra)

    async def purchase(self, skus: list[str], options: dict[str, Any] | None = None) -> Any:
        """Add 3 products of 3 merchants, quote, check out, pay; `options` is what the buyer chose of plugins' tools. The
        answer is the quote."""
        for sku in skus:
            await self.call("PUT", f"/api/shop/cart/lines/{sku}", {"quantity": 1, "selected": True})
        quote = await self.call("POST", "/api/shop/quote", {"options": options or {}})
        wanted = {"expected_payable": quote["payable"], "options": options or {}}
        trade = await self.call("POST", "/api/shop/checkout", wanted)
        payment = await self.call("POST", f"/api/shop/trades/{trade['id']}/payments", {"provider": "sandbox"})
        paid = await self.call("POST", payment["client"]["pay_url"])
        assert paid["notified"], paid
        return quote
