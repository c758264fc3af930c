"""The sandbox's routes for markets. Each is one transaction; who asks is in a signed header (`core.sandbox.edge`)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import httpx
import structlog
from litestar import Litestar, Request, Response, get, post, put
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import Parameter
from litestar.types import ASGIApp

from core.kit.clock import system_clock
from core.kit.errors import JishiError, NotFound
from core.sandbox import console
from core.sandbox.behaviour import Tempers
from core.sandbox.books import Account
from core.sandbox.desk import Desk
from core.sandbox.edge import Edge
from core.sandbox.messages import (
    Behaviour,
    Bill,
    Books,
    Done,
    FinishIn,
    Notified,
    PayIn,
    PaymentIn,
    PaymentOut,
    PayOut,
    PayoutIn,
    Problem,
    RefundIn,
    SplitIn,
    SplitReturnIn,
    SubsidyIn,
)
from core.sandbox.notifier import Notifier
from core.sandbox.signing import ACCOUNT, Sign
from core.sandbox.store import Store

_log = structlog.get_logger("jishi.sandbox")
FILE = "sandbox.sqlite"
AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Service:
    """What all requests share."""

    store: Store
    tempers: Tempers
    notifier: Notifier
    clock: Callable[[str], datetime]

    def desk(self, account: str) -> Desk:
        """Where one market is served."""
        return Desk(Account(self.store, account, self.clock), self.tempers, self.notifier)


async def _desk(request: AnyRequest, state: State) -> Desk:
    service: Service = state.service
    return service.desk(request.headers[ACCOUNT])


@post("/payments", status_code=200)
async def open_payment(desk: Desk, data: PaymentIn) -> PaymentOut:
    """Open a payment."""
    return desk.books.open(data)


@get("/payments/{payment_id:uuid}")
async def show_payment(desk: Desk, payment_id: UUID) -> PaymentOut:
    """How a payment stands."""
    return desk.payment(payment_id)


@post("/payments/{payment_id:uuid}/close", status_code=200)
async def close_payment(desk: Desk, payment_id: UUID) -> PaymentOut:
    """Make an open payment unpayable; how it stands afterwards."""
    return desk.close(payment_id)


@post("/payments/{payment_id:uuid}/pay", status_code=200)
async def pay(desk: Desk, payment_id: UUID, data: PayIn) -> PayOut:
    """The buyer pays."""
    return await desk.pay(payment_id, notify=data.notify, late=data.late)


@post("/refunds", status_code=200)
async def refund(desk: Desk, data: RefundIn) -> Done:
    """Send money back to a buyer."""
    return desk.operations.refund(data)


@post("/subsidies", status_code=200)
async def subsidise(desk: Desk, data: SubsidyIn) -> Done:
    """Move money between the market's funds and a leg."""
    return desk.operations.subsidise(data)


@post("/splits", status_code=200)
async def split(desk: Desk, data: SplitIn) -> Done:
    """Give shares of a leg to others."""
    return desk.operations.split(data)


@post("/split-returns", status_code=200)
async def return_split(desk: Desk, data: SplitReturnIn) -> Done:
    """Take of the market's share back."""
    return desk.operations.return_split(data)


@post("/finishes", status_code=200)
async def finish(desk: Desk, data: FinishIn) -> Done:
    """Free what a leg holds."""
    return desk.operations.finish(data)


@post("/payouts", status_code=200)
async def pay_out(desk: Desk, data: PayoutIn) -> Done:
    """Send a merchant's balance to its bank."""
    return desk.pay_out(data)


@get("/bill")
async def bill(desk: Desk, day: date) -> Bill:
    """All operations of a day."""
    return desk.books.bill(day)


@get("/books")
async def books(desk: Desk) -> Books:
    """All balances."""
    return desk.books.books()


@get("/behaviour")
async def show_behaviour(desk: Desk) -> Behaviour:
    """How the service behaves towards this market."""
    return desk.temper.is_


@put("/behaviour")
async def put_behaviour(desk: Desk, data: Behaviour) -> Behaviour:
    """Behave like this from now on."""
    desk.tempers.put(desk.books.name, data)
    return data


@post("/notifications/send", status_code=200)
async def send_notifications(desk: Desk, payment_id: Annotated[UUID | None, Parameter()] = None) -> Notified:
    """Send again now what was not acknowledged, of one payment or of all."""
    return await desk.notifier.tell(desk.books.name, None if payment_id is None else str(payment_id))


@get("/healthz", media_type="text/plain")
async def healthz() -> str:
    """It is there."""
    return "ok"


def _said(_request: AnyRequest, error: Exception) -> Response[Problem]:
    match error:
        case JishiError():
            return Response(Problem(error.code, error.detail), status_code=error.status)
        case ValidationException():
            return Response(Problem("invalid", str(error.extra or error.detail)[:500]), status_code=422)
        case HTTPException(status_code=404):
            return _said(_request, NotFound("There is nothing here."))
        case HTTPException():
            return Response(Problem("bad_request", error.detail[:500]), status_code=error.status_code)
        case _:
            _log.error("sandbox failed", exc_info=error)
            return Response(Problem("internal", type(error).__name__), status_code=500)


_ROUTES = [
    *(
        open_payment,
        show_payment,
        close_payment,
        pay,
        refund,
        subsidise,
        split,
        return_split,
        finish,
        pay_out,
    ),
    *(bill, books, show_behaviour, put_behaviour, send_notifications, healthz, *console.routes),
]


@contextlib.asynccontextmanager
async def opened(
    path: Path,
    sign: Sign,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Callable[[str], datetime] = lambda _: system_clock(),
    synchronous: str = "normal",
) -> AsyncIterator[ASGIApp]:
    """The service on its file, sending notifications until the block ends. `transport` and `clock` (the present of an
    account's market) are for tests."""
    store = Store(path, synchronous=synchronous)
    async with httpx.AsyncClient(transport=transport, trust_env=False) as http:
        notifier, tempers = Notifier(store, sign, http, clock), Tempers(store)
        service = Service(store, tempers, notifier, clock)
        app = Litestar(
            _ROUTES,
            openapi_config=None,
            state=State({"service": service}),
            dependencies={"desk": Provide(_desk)},
            exception_handlers={Exception: _said},
            logging_config=None,
        )
        sending = asyncio.create_task(notifier.run())
        try:
            yield Edge(app, store, sign, tempers)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            store.close()
