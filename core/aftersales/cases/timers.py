"""The timer of cases: when a deadline has come, silence decides."""

from datetime import timedelta

import msgspec
import structlog

from core.aftersales.cases import service
from core.aftersales.cases.moving import TIMER
from core.aftersales.cases.schemas import CaseTimer
from core.db.tx import Tx
from core.kit.errors import Conflict
from core.plugin import TimerHandler

_LOG = structlog.get_logger()
# How long until a case is looked at again whose next step something forbids at present: a hold, a plugin that is not there.
RETRY = timedelta(hours=1)


async def aftersale_due(tx: Tx, payload: msgspec.Raw) -> None:
    """Do what silence says about a case whose deadline has come; one that has moved on meanwhile has another."""
    due = msgspec.json.decode(payload, type=CaseTimer)
    try:
        async with tx.savepoint("aftersale"):
            await service.silence(tx, due.merchant_id, due.aftersale_id)
    except Conflict as refusal:
        _LOG.warning("aftersale_waits", aftersale_id=str(due.aftersale_id), code=refusal.code)
        tx.schedule("core", TIMER, due, tx.now + RETRY)


TIMERS: dict[str, TimerHandler] = {TIMER: aftersale_due}
