"""What claiming and delivering cost the database: never a look at all that is due for each of the due."""

import pytest

from core.deployment.runtime import Runtime
from core.types.scope import SYSTEM
from core.worker import claim, deliver
from tests.core.worker.worker_probe import register

_TIME, _MANY = "timestamptz", "uuid[],text[],timestamptz,float8"
_STATEMENTS = {
    "claim": (claim._CLAIM, f"{_TIME},int,float8,float8,text[],int[]", "now(),400,10,300,'{}','{}'"),
    "renew": (claim._RENEW, _MANY, "'{}','{}',now(),10"),
    "give back": (claim._GIVE_BACK, _MANY, "'{}','{}',now(),0"),
    "take": (deliver._TAKE, f"uuid,text,{_TIME},text", "gen_random_uuid(),'probe',now(),'outbound:'"),
}


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("name", _STATEMENTS)
async def test_the_plan_that_is_kept_goes_by_keys_however_little_the_planner_knows(
    probe: Runtime, name: str, filled: bool
) -> None:
    if filled:
        await register(probe, 300)
    sql, types, values = _STATEMENTS[name]
    async with probe.tx(SYSTEM) as tx:
        await tx.execute(claim._BY_INDEX if name != "take" else "select")
        await tx.execute(f"prepare kept({types}) as {sql}")
        plan = "\n".join(r[0] for r in await tx.fetch(f"explain execute kept({values})"))
        await tx.execute("deallocate kept")
    assert "Seq Scan" not in plan
    assert "Bitmap" not in plan
    assert "Join Filter" not in plan
    assert "using pk_delivery" in plan
    assert plan.count("Index Cond: (event_id = ANY") + plan.count("Index Cond: ((event_id = $1)") > 0
