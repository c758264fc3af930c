"""Passwords are argon2id, and an unknown login costs as much as a wrong password."""

import asyncio
import time

import pytest

from core.identity import passwords
from core.identity.passwords import HashingPool, hash_password, verify_password
from core.kit.errors import Unavailable


async def test_the_right_password_opens_and_no_other() -> None:
    kept = await hash_password("correct horse 集市")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await verify_password(kept, "correct horse 集市")
    assert not await verify_password(kept, "correct horse")


async def test_equal_passwords_have_different_hashes() -> None:
    assert await hash_password("same-same") != await hash_password("same-same")


async def test_a_broken_hash_opens_nothing() -> None:
    assert not await verify_password("", "password")
    assert not await verify_password("$argon2id$v=19$m=19456,t=2,p=1$xx$yy", "password")


async def test_nobody_costs_as_much_as_somebody() -> None:
    async def cost(kept: str | None) -> float:
        best = 1.0
        for _ in range(4):
            begun = time.perf_counter()
            assert not await verify_password(kept, "wrong-password")
            best = min(best, time.perf_counter() - begun)
        return best

    somebody, nobody = await cost(await hash_password("right-password")), await cost(None)
    assert 0.5 < nobody / somebody < 2


async def test_a_full_pool_refuses_instead_of_queueing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_MAX_WAITING", 2)
    pool = HashingPool(1)
    first = [asyncio.create_task(pool.run(lambda: time.sleep(0.05))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await pool.run(lambda: None)
    await asyncio.gather(*first)
    await pool.run(lambda: None)
