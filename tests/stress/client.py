"""People who speak HTTP through a storm: whatever is not answered is asked again with the same key until it is."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import httpx
import msgspec

from tests.stress.tally import Tally

# Seconds that a request is repeated while servers are away.
PATIENCE = 120.0
_PAUSE = 0.15
_AWAY = frozenset({502, 503, 504})


class GiveUpError(Exception):
    """A request was not answered for so long that its story cannot go on."""


class Answer(msgspec.Struct, frozen=True):
    """Status and JSON of an answer."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.status < 300

    @property
    def code(self) -> str:
        """The code of a refusal; empty when it was done."""
        return "" if self.ok else str(self.body.get("code", "?")) if isinstance(self.body, dict) else "?"

    def __getitem__(self, key: str) -> Any:
        return self.body[key]


class Caller:
    """Sends requests for everybody over one pool of connections."""

    def __init__(self, url: str, tally: Tally) -> None:
        # Few: with each request the pool looks at all that are kept.
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=8)
        self.http = httpx.AsyncClient(base_url=url, timeout=30, limits=limits, trust_env=False, verify=False)
        self.tally = tally

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        story: int | None = None,
        **kwargs: Any,
    ) -> Answer:
        """The answer, however often it takes. An answer 5xx other than 502, 503 and 504 is a finding.

        Raises `GiveUpError` after two minutes without one.
        """
        until = time.monotonic() + PATIENCE
        while True:
            answer, away = await self._once(method, path, headers, kwargs)
            if answer is not None and not away:
                if answer.status >= 500:
                    self.tally.found("answer 5xx", f"{method} {path}: {answer.status} {answer.body}", story)
                return answer
            self.tally.repeats[away] += 1
            if time.monotonic() > until:
                self.tally.found("no answer", f"{method} {path}: {away} for {PATIENCE:.0f} s", story)
                raise GiveUpError(f"{method} {path}")
            await asyncio.sleep(_PAUSE)

    async def _once(
        self, method: str, path: str, headers: dict[str, str] | None, kwargs: dict[str, Any]
    ) -> tuple[Answer | None, str]:
        """An answer, and why it is none."""
        self.tally.requests[method] += 1
        try:
            got = await self.http.request(method, path, headers=headers, **kwargs)
        except httpx.HTTPError as error:
            return None, type(error).__name__
        try:
            body = got.json() if got.content else None
        except ValueError:
            body = got.text
        answer = Answer(got.status_code, body)
        if got.status_code in _AWAY:
            return answer, str(got.status_code)
        return answer, "in_progress" if answer.code == "in_progress" else ""

    async def close(self) -> None:
        """Leave."""
        await self.http.aclose()


class Person:
    """One signed-in person."""

    def __init__(self, caller: Caller, login: str, audience: str) -> None:
        self.caller, self.login, self.audience = caller, login, audience
        self.token = ""

    async def sign_in(self, password: str) -> "Person":
        """Get a token."""
        body = {"provider": "password", "login": self.login, "password": password, "audience": self.audience}
        answer = await self.caller.send("POST", "/api/auth/tokens", json=body)
        assert answer.ok, answer
        self.token = answer["access_token"]
        return self

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        story: int | None = None,
        **params: Any,
    ) -> Answer:
        """One request; a POST carries a key."""
        headers = {"Authorization": f"Bearer {self.token}"}
        kwargs: dict[str, Any] = {"params": params} if params else {}
        if method != "GET":
            kwargs["json"] = {} if body is None else body
        if method == "POST":
            headers["Idempotency-Key"] = key or uuid4().hex
        return await self.caller.send(method, path, headers=headers, story=story, **kwargs)

    async def get(self, path: str, **params: Any) -> Any:
        """The JSON of a GET that must succeed."""
        answer = await self.send("GET", path, **params)
        assert answer.ok, f"GET {path}: {answer}"
        return answer.body

    async def post(self, path: str, body: Any = None) -> Any:
        """The JSON of a POST that must succeed."""
        answer = await self.send("POST", path, body)
        assert answer.ok, f"POST {path}: {answer}"
        return answer.body
