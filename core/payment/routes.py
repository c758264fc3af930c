"""Payments: opened and watched by the buyer, reported by the payment service."""

from typing import Any

import httpx
from litestar import Request, get, post

from core.db.tx import Tx, TxFactory
from core.kit.ids import parse_ref
from core.payment import applying, reconcile_routes, registry, service, staff_routes
from core.payment.provider import Outside
from core.payment.schemas import Acknowledged, PaymentIn, PaymentOut, PaymentView
from core.types.routing import KEYED, OUTSIDE, PUBLIC, SYSTEM
from core.types.scope import Principal


@post("/trades/{trade_id:str}/payments", opt=KEYED | OUTSIDE)
async def create_payment(
    tx: Tx, new_tx: TxFactory, http: httpx.AsyncClient, me: Principal, trade_id: str, data: PaymentIn
) -> PaymentOut:
    """Open a payment for an unpaid trade."""
    provider = registry.chosen(tx.env, data.provider)
    return await service.create(Outside(tx.env, http, new_tx), tx, me, parse_ref(trade_id), provider)


@get("/payments/{payment_id:str}")
async def show_payment(tx: Tx, me: Principal, payment_id: str) -> PaymentView:
    """How an own payment stands."""
    return await service.view(tx, me.account_id, parse_ref(payment_id))


@post("/payments/{provider:str}/notifications", opt=PUBLIC | SYSTEM, status_code=200)
async def receive_notification(tx: Tx, request: Request[Any, Any, Any], provider: str) -> Acknowledged:
    """What the payment service calls; signed by it."""
    return await accept_notification(tx, request, provider)


async def accept_notification(tx: Tx, request: Request[Any, Any, Any], key: str) -> Acknowledged:
    """Verify, apply and keep a notification. Raises `Unauthorized` (`bad_signature`), `NotFound`."""
    provider, body = registry.existing(tx.env, key), await request.body()
    headers = {name.lower(): value for name, value in request.headers.items()}
    notification = provider.verify_notification(tx.env, headers, body, tx.now)
    await applying.notified(tx, provider, notification, body)
    return Acknowledged()


public_routes = [receive_notification]
shop_routes = [create_payment, show_payment]
merchant_routes = staff_routes.merchant_routes
platform_routes = [*staff_routes.platform_routes, *reconcile_routes.platform_routes]

__all__ = ["accept_notification", "merchant_routes", "platform_routes", "public_routes", "shop_routes"]
