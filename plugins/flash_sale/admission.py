"""Admission to a sale: Redis lets in a few buyers for each piece that is left, so that a rush is turned away before it
reaches the database. It decides nothing: who is let in may still come too late, and without Redis everybody is let in who
could buy."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol, cast
from uuid import UUID, uuid4

import structlog
from redis.asyncio import Redis

from core.api import Conflict, NotFound, Tx, parse_pair, parse_ref
from plugins.flash_sale import tickets, usage
from plugins.flash_sale.buying import offer_of
from plugins.flash_sale.config import Config
from plugins.flash_sale.rules import Offer
from plugins.flash_sale.schemas import TicketOut
from plugins.flash_sale.tickets import Claim

# A buyer has one ticket at a time (KEYS[2]) and asks for it as often as they like; ARGV[5] is one that is spent. KEYS[1] are
# the buyers with a ticket, by when it ends.
_ADMIT = """
local held = redis.call('GET', KEYS[2])
if held and held ~= ARGV[5] then return held end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return '' end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('SET', KEYS[2], ARGV[6], 'PX', ARGV[7])
return ARGV[6]
"""
_FRESH_S = 1.0
_PATIENCE_S = 0.5
_AWAY_S = 2.0
_MOST_OFFERS = 10_000
_log = structlog.get_logger("jishi.flash_sale")


class AwayError(Exception):
    """Redis does not answer."""


class _Seen(NamedTuple):
    until: float
    offer: Offer | None


class Gate:
    """What one process keeps of sales for a second, and whether it has just found Redis away; one per plugin instance."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[UUID, UUID], _Seen] = {}
        self._reading: dict[tuple[UUID, UUID], asyncio.Future[None]] = {}
        self._away_until = 0.0

    async def offer(self, tx: Tx, activity_id: UUID, sku: tuple[UUID, UUID]) -> Offer:
        """The item as anybody may have it, up to a second old. Raises `NotFound`."""
        seen = self._fresh(activity_id, sku) or await self._once(tx, activity_id, sku)
        if seen.offer is None:
            raise NotFound("There is no such sale of this product.")
        return seen.offer

    def _fresh(self, activity_id: UUID, sku: tuple[UUID, UUID]) -> _Seen | None:
        seen = self._seen.get((activity_id, sku[1]))
        return seen if seen is not None and self._clock() < seen.until else None

    async def _once(self, tx: Tx, activity_id: UUID, sku: tuple[UUID, UUID]) -> _Seen:
        """One reads, the others wait for it: at the start of a sale they all come at once. Not for long, for who reads may
        itself wait for the connection that one of them has."""
        key = (activity_id, sku[1])
        if (other := self._reading.get(key)) is not None:
            await asyncio.wait({other}, timeout=_PATIENCE_S)
            return self._fresh(activity_id, sku) or await self._read(tx, activity_id, sku)
        done = self._reading[key] = asyncio.get_running_loop().create_future()
        try:
            return await self._read(tx, activity_id, sku)
        finally:
            del self._reading[key]
            done.set_result(None)

    async def _read(self, tx: Tx, activity_id: UUID, sku: tuple[UUID, UUID]) -> _Seen:
        row = await usage.offer(tx, activity_id, sku, None)
        if len(self._seen) >= _MOST_OFFERS:
            self._seen.clear()
        seen = _Seen(self._clock() + _FRESH_S, offer_of(row) if row is not None else None)
        self._seen[activity_id, sku[1]] = seen
        return seen

    async def ask(self, redis: "Redis", claim: Claim, asked: list[str]) -> str:
        """Redis's answer: a token, or nothing when too many are in. Raises `AwayError`, for a moment without trying."""
        if self._clock() < self._away_until:
            raise AwayError
        keys = [f"flash_sale:{{{claim.activity_id}:{claim.sku_id}}}:in"]
        keys.append(f"{keys[0]}:{claim.account_id}")
        call = cast(Awaitable[bytes | str], redis.eval(_ADMIT, 2, *keys, *asked))
        try:
            answer = await _soon(call)
        except Exception as error:
            # However the client takes it that its server went, the sale goes on.
            self._away_until = self._clock() + _AWAY_S
            _log.warning("admission without redis", error=type(error).__name__, detail=str(error))
            raise AwayError from error
        return answer.decode() if isinstance(answer, bytes) else answer


class Gated(Protocol):
    """What has a gate: the plugin."""

    gate: Gate


async def _soon(call: Awaitable[Any]) -> Any:
    """The answer, or `TimeoutError`. The call is left to itself then: Redis clients do not always let go when cancelled."""
    task = asyncio.ensure_future(call)
    done, _ = await asyncio.wait({task}, timeout=_PATIENCE_S)
    if not done or task.cancelled():
        task.cancel()
        task.add_done_callback(lambda late: late.cancelled() or late.exception())
        raise TimeoutError
    return task.result()


async def admit(tx: Tx, redis: "Redis", gate: Gate, account_id: UUID, activity: str, sku: str) -> TicketOut:
    """A request token for one purchase, the same until it is spent or ends. In the buyer's scope.

    Raises `NotFound`; `Conflict`: `not_started`, `flash_over`, `sold_out`, `crowded` (ask again).
    """
    activity_id, key = parse_ref(activity), parse_pair(sku)
    offer = await gate.offer(tx, activity_id, key)
    _refuse(offer, tx.now)
    return await _admitted(tx, redis, gate, offer, Claim(account_id, activity_id, key[1]))


def _refuse(offer: Offer, now: datetime) -> None:
    if now < offer.starts_at:
        raise Conflict("This sale has not started yet.", code="not_started")
    if now >= offer.ends_at:
        raise Conflict("The sale is over.", code="flash_over")
    if offer.left <= 0:
        raise Conflict("The pieces of this sale are gone.", code="sold_out")


async def _admitted(tx: Tx, redis: "Redis", gate: Gate, offer: Offer, claim: Claim) -> TicketOut:
    config = tx.config(Config)
    until = min(offer.ends_at, tx.now + timedelta(seconds=config.token_seconds + 1))
    spent = ""
    for _ in range(2):
        asked = _asked(tx, claim, spent, until, offer.left * config.admitted_per_piece)
        try:
            token = await gate.ask(redis, claim, asked)
        except AwayError:
            return await _without_redis(tx, claim, offer.ends_at, config.token_seconds)
        if not token:
            break
        ticket = tickets.read(tx.env.vault, claim, token)
        if token == asked[5]:
            return _out(token, until)
        if ticket is not None and tx.now < ticket.until and not await _is_used(tx, claim, ticket.nonce):
            return _out(token, ticket.until)
        spent = token
    raise Conflict("Many are buying just now; try again in a moment.", code="crowded", retry_after=1)


def _asked(tx: Tx, claim: Claim, spent: str, until: datetime, room: int) -> list[str]:
    """The arguments of the script."""
    fresh = tickets.issue(tx.env.vault, claim, uuid4(), until)
    now_ms, until_ms = int(tx.now.timestamp() * 1000), int(until.timestamp() * 1000)
    return [
        claim.account_id.hex,
        str(now_ms),
        str(until_ms),
        str(room),
        spent,
        fresh,
        str(max(1, until_ms - now_ms)),
    ]


async def _is_used(tx: Tx, claim: Claim, nonce: UUID) -> bool:
    return bool((await usage.standing(tx, *claim, nonce))["used"])


async def _without_redis(tx: Tx, claim: Claim, closes: datetime, seconds: int) -> TicketOut:
    """The same ticket for the same account for a while: it follows from the time and from what the account has bought."""
    uses = (await usage.standing(tx, *claim, None))["uses"]
    span = int(tx.now.timestamp()) // seconds
    nonce = UUID(bytes=tx.env.vault.sign(claim.signed_part(f"{uses}.{span}".encode()))[:16])
    ends = min(closes, datetime.fromtimestamp((span + 2) * seconds, tx.now.tzinfo))
    return _out(tickets.issue(tx.env.vault, claim, nonce, ends), ends)


def _out(token: str, until: datetime) -> TicketOut:
    return TicketOut(token, until.replace(microsecond=0))
