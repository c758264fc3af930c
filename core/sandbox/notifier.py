"""Notifications to markets: kept with what they tell, sent until they are acknowledged, also by the next process."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable
from datetime import datetime

import httpx
import msgspec

from core.kit.ids import derived_id, new_id, ref
from core.sandbox.behaviour import Temper
from core.sandbox.books import Account, moment
from core.sandbox.messages import Message, MessageLeg, Notified
from core.sandbox.signing import Sign, notification_headers
from core.sandbox.store import Store

_FIRST_RESEND_MS = 5_000
_LONGEST_MS = 600_000
_AT_ONCE = 32
_TIMEOUT_S = 6.0
_IDLE_S = 30.0
_ADD = """
insert into notification (account, id, payment_id, url, body, lost, due_at, created_at) values (?, ?, ?, ?, ?, ?, ?, ?)
"""
_PENDING = "select * from notification where account = ? and done_at is null"
_DUE = "select * from notification where done_at is null and due_at <= ? order by due_at limit ?"
_NEXT = "select min(due_at) from notification where done_at is null"


class Notifier:
    """Sends what is due; `wake` when something may be due earlier than thought. `clock` is the present of an account's
    market, which signatures are compared with."""

    def __init__(
        self, store: Store, sign: Sign, http: httpx.AsyncClient, clock: Callable[[str], datetime]
    ) -> None:
        self._store, self._sign, self._http, self._clock = store, sign, http, clock
        self._wake = asyncio.Event()
        self._under_way: set[tuple[str, str]] = set()

    def add(self, books: Account, payment_id: str, temper: Temper, *, lost: bool = False) -> None:
        """Have the market told that a payment was captured. In the transaction that captures it."""
        row, payment = books.payment_row(payment_id), books.payment(payment_id)
        assert row is not None
        assert payment is not None
        wrong = 1 if temper.falls(temper.is_.notify_wrong) else 0
        body = msgspec.json.encode(
            Message(
                ref(derived_id(payment.payment_id, "paid")),
                ref(payment.payment_id),
                payment.provider_ref,
                payment.amount + wrong,
                [MessageLeg(leg.merchant_id, leg.amount, leg.gateway_ref) for leg in payment.legs],
                moment(row["paid_at"]),
            )
        )
        now = _now()
        for _ in range(1 + temper.is_.notify_copies):
            gone = lost or temper.falls(temper.is_.notify_lost)
            due = now + temper.delay() + (_FIRST_RESEND_MS if lost else 0)
            self._store.run(
                _ADD,
                *(books.name, str(new_id()), payment_id, row["notify_url"], body, int(gone and not lost)),
                *(due, now),
            )
        self._wake.set()

    async def tell(self, account: str, payment_id: str | None = None, *, early: bool = True) -> Notified:
        """Send what an account has not acknowledged, of one payment or of all: what is due, or everything if `early`."""
        rows = [
            row
            for row in self._store.rows(_PENDING, account)
            if (payment_id is None or row["payment_id"] == payment_id) and (early or row["due_at"] <= _now())
        ]
        return await self._send_all(rows)

    def acknowledged(self, account: str, payment_id: str) -> bool:
        """Whether the market has acknowledged that this payment was captured."""
        return bool(
            self._store.value(
                "select 1 from notification where account = ? and payment_id = ? and done_at is not null limit 1",
                *(account, payment_id),
            )
        )

    async def run(self) -> None:
        """Send what is due until cancelled."""
        while True:
            self._wake.clear()
            await self._send_all(self._store.rows(_DUE, _now(), _AT_ONCE))
            due = self._store.value(_NEXT)
            pause = _IDLE_S if due is None else max(0.0, (due - _now()) / 1000)
            with contextlib.suppress(TimeoutError):
                # Not `wait_for`, which can swallow a cancellation.
                async with asyncio.timeout(min(max(pause, 0.002), _IDLE_S)):
                    await self._wake.wait()

    async def _send_all(self, rows: Iterable[sqlite3.Row]) -> Notified:
        mine = [row for row in rows if (row["account"], row["id"]) not in self._under_way]
        # At once, so that nobody else takes them before their tasks begin.
        self._under_way.update((row["account"], row["id"]) for row in mine)
        done = await asyncio.gather(*(self._send(row) for row in mine))
        return Notified(len(mine), sum(done))

    async def _send(self, row: sqlite3.Row) -> bool:
        key = (row["account"], row["id"])
        try:
            good = not row["lost"] and await self._post(row)
            wait = min(_FIRST_RESEND_MS << min(row["attempts"], 12), _LONGEST_MS)
            now = _now()
            with self._store.transaction():
                self._store.run(
                    "update notification set attempts = attempts + 1, lost = 0, due_at = ?, done_at = ?"
                    " where account = ? and id = ?",
                    *(now + wait, now if good else None, *key),
                )
        finally:
            self._under_way.discard(key)
        return good

    async def _post(self, row: sqlite3.Row) -> bool:
        account, body = row["account"], bytes(row["body"])
        headers = notification_headers(self._sign, account, body, int(self._clock(account).timestamp()))
        try:
            answer = await self._http.post(row["url"], content=body, headers=headers, timeout=_TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return answer.is_success


def _now() -> int:
    return time.time_ns() // 1_000_000
