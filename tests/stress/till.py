"""The payment service, past the market: how it misbehaves, what only it could send, and its books."""

import asyncio
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import httpx
import msgspec

from core.command import config
from core.kit.errors import Unavailable
from core.kit.ids import new_id, parse_ref, ref
from core.kit.settings import Env
from core.payment import sandbox
from core.payment.provider import Outside
from core.sandbox import signing
from core.sandbox.messages import Behaviour, Books, Message, MessageLeg
from core.types.scope import Scope
from tests.stress.client import PATIENCE, Answer, Caller
from tests.stress.database import running

T = TypeVar("T")
_PATH = "/api/payments/sandbox/notifications"


class Till:
    """Speaks to the sandbox with the market's own key."""

    def __init__(self, folder: Path, caller: Caller) -> None:
        settings = running(folder)
        self._env = Env(settings, config.open_vault(settings))
        self._file, self._caller = folder / "sandbox.sqlite", caller
        self._outside = Outside(
            self._env, httpx.AsyncClient(trust_env=False, timeout=10, verify=False), _no_transaction
        )

    async def close(self) -> None:
        """Leave."""
        await self._outside.http.aclose()

    async def behave(self, seed: int, burst: int) -> str:
        """Misbehave as the seed says for this burst; in words."""
        chance = random.Random(f"{seed}:{burst}:sandbox")
        behaviour = Behaviour(
            notify_shuffle=chance.choice([0, 300, 1500]),
            notify_copies=chance.choice([0, 1, 2]),
            notify_lost=chance.choice([0, 5, 20]),
            fail_before=chance.choice([0, 3, 8]),
            fail_after=chance.choice([0, 3, 8]),
            working=chance.choice([0, 0, 1]),
            payouts_returned=chance.choice([0, 5, 20]),
            seed=seed,
        )
        await _patient(lambda: sandbox.behave(self._outside, behaviour))
        return ", ".join(
            f"{name} {value}" for name, value in msgspec.structs.asdict(behaviour).items() if value
        )

    async def calm(self) -> None:
        """Behave well again."""
        await _patient(lambda: sandbox.behave(self._outside, Behaviour()))

    async def pay_late(self, payment_id: str) -> None:
        """The buyer's money comes although the payment was closed just before."""
        await _patient(lambda: sandbox.pay(self._outside, parse_ref(payment_id), late=True))

    async def tell_all(self) -> None:
        """Send now what the market has not acknowledged."""
        await _patient(lambda: sandbox.notify(self._outside))

    async def books(self) -> Books:
        """Its balances."""
        return await _patient(lambda: sandbox.books(self._outside))

    async def forge(self, payment_id: str, legs: list[tuple[str, int]], how: str, *, story: int) -> Answer:
        """Tell the market that a payment was captured which was not: of another amount, with another share, or signed by
        somebody else."""
        extra = 1 if how == "wrong amount" else 0
        shares = [MessageLeg(parse_ref(shop), amount, "forged") for shop, amount in legs]
        if how == "wrong share":
            shares = [msgspec.structs.replace(share, amount=share.amount + 1) for share in shares]
        message = Message(
            ref(new_id()),
            payment_id,
            "forged",
            sum(amount for _, amount in legs) + extra,
            shares,
            self._outside.clock(),
        )
        body = msgspec.json.encode(message)
        sign = self._env.vault.sandbox_sign if how != "wrong signature" else lambda _: "0" * 64
        now = int(self._outside.clock().timestamp())
        headers = signing.notification_headers(sign, self._env.settings.sandbox_account, body, now)
        return await self._caller.send("POST", _PATH, headers=headers, content=body, story=story)

    def rows(self, sql: str) -> list[sqlite3.Row]:
        """Rows of its file, read beside it."""
        connection = sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()


async def _patient(call: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return await call()
        except Unavailable:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.2)


def _no_transaction(scope: Scope) -> NoReturn:
    raise Unavailable("There is no database here.")
