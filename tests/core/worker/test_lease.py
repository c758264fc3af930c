"""What was lost on its way is sent again once its lease is over: with the lease of production."""

import asyncio
import time

import msgspec
import pytest

from core.deployment.runtime import Runtime
from core.worker import claim
from core.worker.main import NAMESPACE, QUEUE
from core.worker.relay import EPOCH
from tests.core.worker.worker_probe import Start, marks, register, statuses, until

_EVENTS = 300
_KEY = f"{NAMESPACE}:{QUEUE}"


async def _lose(runtime: Runtime) -> int:
    """Take messages out of Redis, which does not notice; how many deliveries they name."""
    for _ in range(5000):
        async with runtime.redis.pipeline(transaction=True) as both:
            both.lrange(_KEY, 0, -1)
            both.hgetall(f"{_KEY}.msgs")
            both.delete(_KEY, f"{_KEY}.msgs")
            queued, messages, _ = await both.execute()
        if queued:
            return sum(len(msgspec.json.decode(messages[key])["args"][0]) for key in queued)
        await asyncio.sleep(0.002)
    raise AssertionError("nothing was on its way")


async def test_messages_lost_out_of_redis_are_sent_again_after_the_lease(
    probe: Runtime, start_worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBE_RESEND", str(claim.RESEND))
    await start_worker(probe)
    await register(probe, 1)
    assert len(await until(probe, 1, 30)) == 1
    began = time.monotonic()
    ids = await register(probe, _EVENTS)
    lost = await _lose(probe)
    epoch = await probe.redis.get(EPOCH)
    await asyncio.sleep(claim.RESEND * 0.7)
    assert len(await marks(probe)) <= 1 + _EVENTS - lost, "what is lost waits for the lease"
    assert ids < set(await until(probe, _EVENTS + 1, claim.RESEND + 20))
    assert time.monotonic() - began > claim.RESEND
    assert await probe.redis.get(EPOCH) == epoch, "Redis has not noticed anything"
    assert len(await marks(probe)) == _EVENTS + 1
    assert await statuses(probe) == {"done": _EVENTS + 1}
