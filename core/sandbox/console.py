"""The console page and what its buttons do. For people at this machine: no sign-in, but only from a page of its own."""

from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.enums import MediaType, RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from core.kit.errors import Forbidden, Invalid, JishiError, NotFound
from core.sandbox.books import moment
from core.sandbox.desk import Desk
from core.sandbox.messages import Behaviour
from core.sandbox.page import POLICY, OperationRow, PaymentRow, View, page

_LIMIT = 50
_HERE = ("127.0.0.1", "localhost", "[::1]")
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
_PAYMENTS = """
select p.*, (select coalesce(sum(attempts), 0) from notification n where n.account = p.account and n.payment_id = p.id)
  as attempts, exists (select 1 from notification n where n.account = p.account and n.payment_id = p.id
  and n.done_at is not null) as acknowledged
from payment p where p.account = ? and p.created_at < ? order by p.created_at desc limit ?
"""
_OPERATIONS = """
select kind, id, merchant_id, amount, advance, case when asks > 0 then 'working' else status end as status, at
from operation where account = ? and kind {} order by at desc limit ?
"""
AnyRequest = Request[Any, Any, Any]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


@get("/", media_type=MediaType.HTML)
async def show(
    request: AnyRequest, state: State, account: str | None = None, before: int | None = None
) -> Response[str]:
    """The page of one account; of the one that was used last unless it is named."""
    _of_this_machine(request)
    return Response(page(_view(state, account, before)), media_type=MediaType.HTML, headers=_HEADERS)


@post("/console/{action:str}")
async def act(request: AnyRequest, state: State, action: str, data: Form) -> Response[Any]:
    """A button was pressed; the page says it if that was refused. Raises `Forbidden` for a form of another site's page."""
    _of_this_machine(request)
    _of_this_page(request)
    desk: Desk = state.service.desk(data.get("account", ""))
    try:
        await _do(desk, action, data)
    except JishiError as error:
        view = msgspec.structs.replace(_view(state, desk.books.name, None), said=error.detail)
        return Response(page(view), media_type=MediaType.HTML, headers=_HEADERS, status_code=error.status)
    return Redirect(f"/?account={quote(desk.books.name)}", status_code=303)


async def _do(desk: Desk, action: str, data: dict[str, str]) -> None:
    if action == "behaviour":
        _behave(desk, data)
    elif action == "return":
        desk.operations.return_payout(str(_id(data)))
    else:
        await _payment(desk, action, _id(data))


async def _payment(desk: Desk, action: str, payment_id: UUID) -> None:
    match action:
        case "pay" | "pay-late" | "pay-unheard":
            await desk.pay(payment_id, notify=action != "pay-unheard", late=action == "pay-late")
        case "close":
            desk.close(payment_id)
        case "tell":
            await desk.tell_again(payment_id)
        case _:
            raise NotFound("There is no such button.")


def _behave(desk: Desk, data: dict[str, str]) -> None:
    try:
        given = {k: v.strip() for k, v in data.items() if k != "account"}
        behaviour = msgspec.convert(given, Behaviour, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from None
    desk.tempers.put(desk.books.name, behaviour)


def _id(data: dict[str, str]) -> UUID:
    try:
        return UUID(data.get("id", ""))
    except ValueError:
        raise NotFound("No such id.") from None


def _of_this_machine(request: AnyRequest) -> None:
    """A name that somebody else made to point here is refused: their page could read this one."""
    host = request.headers.get("host", "").rpartition(":")
    if (host[0] or host[2]) not in _HERE:
        raise Forbidden("Open the console as http://127.0.0.1.")


def _of_this_page(request: AnyRequest) -> None:
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = f"http://{request.headers.get('host', '')}"
    if origin != own and not (origin is None and site == "same-origin"):
        raise Forbidden("This form is not from the console.")
    if site not in (None, "same-origin"):
        raise Forbidden("This form is not from the console.")


def _view(state: State, account: str | None, before: int | None) -> View:
    store = state.service.store
    names = [row[0] for row in store.rows("select distinct account from payment order by account")]
    if account is None:
        account = store.value("select account from payment order by created_at desc limit 1") or "market"
    desk: Desk = state.service.desk(account)
    rows = store.rows(_PAYMENTS, account, before if before is not None else 2**62, _LIMIT)
    payments = [_payment_row(desk, row) for row in rows]
    refunds = store.rows(_OPERATIONS.format("not in ('pay', 'pay_out')"), account, _LIMIT)
    payouts = store.rows(_OPERATIONS.format("= 'pay_out'"), account, _LIMIT)
    return View(
        account,
        names if len(names) > 1 else [],
        desk.books.books(),
        payments,
        [_operation(row) for row in refunds],
        [_operation(row) for row in payouts],
        desk.temper.is_,
        rows[-1]["created_at"] if len(rows) == _LIMIT else None,
    )


def _payment_row(desk: Desk, row: Any) -> PaymentRow:
    found = desk.payment(UUID(row["id"]))
    legs = [(str(x.merchant_id), x.amount, x.refunded, x.frozen, x.finished) for x in found.legs]
    return PaymentRow(
        *(row["id"], row["amount"], row["status"], row["description"], _time(row["created_at"])),
        *(legs, row["attempts"], bool(row["acknowledged"])),
    )


def _operation(row: Any) -> OperationRow:
    return OperationRow(
        *(row["kind"], row["id"], row["merchant_id"], row["amount"], row["advance"], row["status"]),
        _time(row["at"]),
    )


def _time(at: int) -> str:
    return f"{moment(at).astimezone():%Y-%m-%d %H:%M:%S}"


routes = [show, act]
