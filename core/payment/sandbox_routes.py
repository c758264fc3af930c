"""The sandbox payment service as the buyer meets it; mounted only where the sandbox is on."""

from typing import Any

import httpx
from litestar import Request, post

from core.db.tx import Tx, TxFactory
from core.kit.ids import parse_ref
from core.payment import sandbox
from core.payment.provider import Outside
from core.payment.routes import accept_notification
from core.payment.schemas import Acknowledged, SandboxPayIn, SandboxPayOut
from core.types.routing import OUTSIDE, PUBLIC, SYSTEM


@post("/payments/sandbox/{payment_id:str}/pay", opt=PUBLIC | OUTSIDE, status_code=200)
async def sandbox_pay(
    tx: Tx, new_tx: TxFactory, http: httpx.AsyncClient, payment_id: str, data: SandboxPayIn | None = None
) -> SandboxPayOut:
    """The buyer pays. Doing it again gives the same answer, and sends a notification that was not acknowledged."""
    notify = data is None or data.notify
    paid = await sandbox.pay(Outside(tx.env, http, new_tx), parse_ref(payment_id), notify=notify)
    return SandboxPayOut(paid.status, notified=paid.notified)


# The router does not go back from the fixed segment `sandbox` to `{provider}`, so the path is named here too.
@post("/payments/sandbox/notifications", opt=PUBLIC | SYSTEM, status_code=200)
async def sandbox_notification(tx: Tx, request: Request[Any, Any, Any]) -> Acknowledged:
    """What the sandbox calls; signed by it."""
    return await accept_notification(tx, request, sandbox.KEY)


public_routes = [sandbox_pay, sandbox_notification]
