"""Cases as each audience sees them, one or a page of them, and what they are worth at present."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec

from core.aftersales import repository as refunds
from core.aftersales import rules
from core.aftersales.cases import repository
from core.aftersales.cases.machine import CLAIMING, KINDS, STATUSES, Kind
from core.aftersales.cases.repository import CaseFilter
from core.aftersales.cases.schemas import (
    CaseLineOut,
    CaseMerchant,
    CaseOut,
    CaseParcelOut,
    CaseRefundOut,
    CaseStepOut,
    EstimateOut,
    ReturnParcelOut,
)
from core.db.tx import Tx
from core.kit.crypto import Vault
from core.kit.errors import Conflict, FieldError, Invalid, NotFound
from core.kit.ids import ref
from core.kit.paging import Page, check_limit, encode_cursor
from core.orders.address import Address, masked
from core.types.scope import Audience

# While goods are to be sent, the buyer needs all of the address.
_SENDING = frozenset({"agreed", "sent"})


class _LineRow(msgspec.Struct, frozen=True):
    line_id: UUID
    quantity: int
    title: str
    specs: list[str]
    image_url: str | None
    unit_price: int


class _RefundRow(msgspec.Struct, frozen=True):
    id: UUID
    number: str
    status: str
    amount: int


class _ParcelRow(msgspec.Struct, frozen=True):
    id: UUID
    kind: str
    carrier: str
    waybill_no: str
    status: str


_lines = msgspec.json.Decoder(list[_LineRow])
_parcels = msgspec.json.Decoder(list[_ParcelRow])
_refund = msgspec.json.Decoder(_RefundRow)


async def page(tx: Tx, which: CaseFilter, audience: Audience, limit: int) -> Page[CaseOut]:
    """A page of cases, newest first. Raises `Invalid` for a bad limit."""
    rows = await repository.views(tx, which, check_limit(limit) + 1)
    kept = rows[:limit]
    worth = await estimates(tx, kept)
    items = [case_out(tx.env.vault, row, audience, worth.get(row["id"])) for row in kept]
    return Page(items, encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None)


async def one(tx: Tx, which: CaseFilter, audience: Audience) -> CaseOut:
    """The one case that `which` names, with its log. Raises `NotFound`."""
    rows = await repository.views(tx, which, 1)
    if not rows:
        raise NotFound("No such after-sales case.")
    worth = await estimates(tx, rows)
    found = case_out(tx.env.vault, rows[0], audience, worth.get(rows[0]["id"]))
    steps = await repository.log(tx, rows[0]["merchant_id"], rows[0]["id"])
    return msgspec.structs.replace(found, log=[CaseStepOut(**dict(step)) for step in steps])


async def estimate(
    tx: Tx, order: asyncpg.Record, row: asyncpg.Record, *, shipping: int | None = None
) -> EstimateOut:
    """What would go back for the case's units at present, with `shipping` fen of freight, or what was agreed of it.
    Raises `Conflict` when the units, or the freight, are not there any more."""
    wanted = await repository.lines(tx, row["merchant_id"], row["id"])
    agreed = row["shipping_amount"] if shipping is None else shipping
    return _worth(
        await refunds.order(tx, order), order["status"], wanted, agreed, goods_back=_goods_back(row["kind"])
    )


async def estimates(tx: Tx, rows: Sequence[asyncpg.Record]) -> dict[UUID, EstimateOut]:
    """What would go back for each of these cases of which that is not decided, by id."""
    asked = [row for row in rows if row["status"] in CLAIMING]
    if not asked:
        return {}
    keys = {(row["merchant_id"], row["order_id"]) for row in asked}
    found = await repository.orders(tx, sorted(keys))
    worth: dict[UUID, EstimateOut] = {}
    for row in asked:
        order = found[row["merchant_id"], row["order_id"]]
        wanted = [(line.line_id, line.quantity) for line in _lines.decode(row["lines"])]
        try:
            worth[row["id"]] = _worth(
                order,
                row["order_status"],
                wanted,
                row["shipping_amount"],
                goods_back=_goods_back(row["kind"]),
            )
        except Conflict:
            continue
    return worth


def _goods_back(kind: str) -> bool:
    return kind != "refund_only"


def _worth(
    order: rules.Order, status: str, wanted: rules.Wanted, shipping: int, *, goods_back: bool
) -> EstimateOut:
    freight = min(shipping, order.shipping - order.refunded_shipping)
    made = rules.plan(order, status, wanted, freight, restock=goods_back)
    return EstimateOut(made.goods, made.shipping)


def case_out(
    vault: Vault, row: asyncpg.Record, audience: Audience, worth: EstimateOut | None = None
) -> CaseOut:
    """A case's record (of `repository.views`) as `audience` may see it."""
    merchant_id = row["merchant_id"]
    sent = ReturnParcelOut(row["carrier"], row["waybill_no"]) if row["waybill_no"] else None
    return CaseOut(
        id=ref(merchant_id, row["id"]),
        number=row["number"],
        order_id=ref(merchant_id, row["order_id"]),
        order_number=row["order_number"],
        merchant=CaseMerchant(ref(merchant_id), row["merchant_name"]),
        kind=row["kind"],
        status=row["status"],
        fault=row["fault"],
        reason=row["reason"],
        images=row["images"],
        lines=[_line(merchant_id, line) for line in _lines.decode(row["lines"])],
        shipping_amount=row["shipping_amount"],
        estimate=worth,
        refusal=row["refusal"],
        return_address=_return_address(vault, row, audience),
        return_parcel=sent,
        refund=_refund_out(merchant_id, row["refund"]),
        parcels=[_parcel(merchant_id, parcel) for parcel in _parcels.decode(row["parcels"])],
        deadline=row["deadline"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        closed_at=row["closed_at"],
    )


def seal(vault: Vault, case_id: UUID, address: Address) -> bytes:
    """The value of `aftersale.return_address`; it opens for this case only."""
    return vault.seal(msgspec.json.encode(address).decode(), _context(case_id))


def unseal(vault: Vault, case_id: UUID, sealed: bytes) -> Address:
    """The address in `aftersale.return_address`. Raises `ValueError` when it was sealed for another case or key."""
    return msgspec.json.decode(vault.open(sealed, _context(case_id)), type=Address)


def statuses(text: str | None) -> list[str] | None:
    """The statuses in a comma-separated filter. Raises `Invalid`."""
    return None if text is None else _known("status", [part.strip() for part in text.split(",")], STATUSES)


def kind(text: str | None) -> Kind | None:
    """The kind in a filter. Raises `Invalid`."""
    if text is not None:
        _known("kind", [text], KINDS)
    return next((known for known in KINDS if known == text), None)


def _known(field: str, wanted: list[str], known: Sequence[str]) -> list[str]:
    if not set(wanted) <= set(known):
        raise Invalid(f"Unknown {field}.", FieldError(field, "unknown", f"Use some of {', '.join(known)}."))
    return wanted


def _context(case_id: UUID) -> str:
    return f"aftersale.return_address:{case_id}"


def _return_address(vault: Vault, row: asyncpg.Record, audience: Audience) -> Address | None:
    if row["return_address"] is None:
        return None
    found = unseal(vault, row["id"], row["return_address"])
    if audience is Audience.MERCHANT or (audience is Audience.SHOP and row["status"] in _SENDING):
        return found
    return masked(found)


def _line(merchant_id: UUID, row: _LineRow) -> CaseLineOut:
    return CaseLineOut(
        ref(merchant_id, row.line_id), row.quantity, row.title, row.specs, row.image_url, row.unit_price
    )


def _refund_out(merchant_id: UUID, text: str | None) -> CaseRefundOut | None:
    if text is None:
        return None
    row = _refund.decode(text)
    return CaseRefundOut(ref(merchant_id, row.id), row.number, row.status, row.amount)


def _parcel(merchant_id: UUID, row: _ParcelRow) -> CaseParcelOut:
    return CaseParcelOut(ref(merchant_id, row.id), row.kind, row.carrier, row.waybill_no, row.status)
