"""The ledger for merchants (own money only) and the platform."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from litestar import get

from core.db.tx import Tx
from core.kit.errors import Forbidden
from core.kit.ids import parse_ref
from core.kit.paging import DEFAULT_LIMIT, Page, check_limit, decode_cursor, encode_cursor
from core.ledger import service
from core.ledger.check import CheckResult, check
from core.ledger.schemas import (
    AccountList,
    LedgerPage,
    StatementView,
    TransferView,
    balance_view,
    transfer_view,
)
from core.types.routing import permission
from core.types.scope import Principal


@get("/ledger", opt=permission("ledger.read"))
async def merchant_ledger(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> LedgerPage:
    """Balances of the shop's own accounts and the transfers of its orders, newest first."""
    shop = _shop(me)
    balances = await service.accounts(tx, shop, owner=shop)
    found = await _page(tx, shop, None, cursor, limit)
    return LedgerPage([balance_view(b) for b in balances], found.items, found.next_cursor)


@get("/statements", opt=permission("ledger.read"))
async def merchant_statements(
    tx: Tx, me: Principal, cursor: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[StatementView]:
    """What became payable, a day a line, newest first."""
    before = decode_cursor(cursor, date) if cursor is not None else None
    rows = await service.statements(tx, _shop(me), before, check_limit(limit) + 1)
    items = [
        StatementView(r["day"], r["orders"], r["released"], r["commission"], r["payable"])
        for r in rows[:limit]
    ]
    return Page(items, encode_cursor(items[-1].day) if len(rows) > limit else None)


@get("/ledger/transfers", opt=permission("ledger.read"))
async def transfers(
    tx: Tx,
    reference: str | None = None,
    merchant_id: str | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[TransferView]:
    """Transfers, newest first. `reference`: the id or number of an order or payout, or of a trade for all its orders;
    or the number of a refund, for its order."""
    references = await service.resolve(tx, reference) if reference is not None else None
    shop = parse_ref(merchant_id) if merchant_id is not None else None
    return await _page(tx, shop, references, cursor, limit)


@get("/ledger/accounts", opt=permission("ledger.read"))
async def all_accounts(tx: Tx, merchant_id: str | None = None) -> AccountList:
    """Balances of all accounts, or of those that one merchant's orders moved."""
    shop = parse_ref(merchant_id) if merchant_id is not None else None
    return AccountList([balance_view(b) for b in await service.accounts(tx, shop)])


@get("/ledger/check", opt=permission("ledger.read"))
async def check_ledger(tx: Tx) -> CheckResult:
    """Whether the books agree with themselves, the orders and the payments."""
    return await check(tx)


async def _page(
    tx: Tx, shop: UUID | None, references: Sequence[UUID] | None, cursor: str | None, limit: int
) -> Page[TransferView]:
    before = decode_cursor(cursor, tuple[datetime, UUID]) if cursor is not None else None
    rows = await service.page(
        tx, merchant_id=shop, references=references, before=before, limit=check_limit(limit) + 1
    )
    items = [transfer_view(r) for r in rows[:limit]]
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(items, encode_cursor((last.at, last.transfer.id)) if last else None)


def _shop(me: Principal) -> UUID:
    if me.merchant_id is None:
        raise Forbidden("This sign-in belongs to no shop.")
    return me.merchant_id


merchant_routes = [merchant_ledger, merchant_statements]
platform_routes = [transfers, all_accounts, check_ledger]
