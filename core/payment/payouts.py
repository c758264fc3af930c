"""Merchants get what they are owed: all of it at once, after what they owe themselves.

`pay_out` holds the merchant's account (`core.ledger.balances.lock`), so that a payout, another one and a refund of what was
released never spend the same fen.
"""

from datetime import timedelta
from uuid import UUID

import msgspec

from core.db.tx import Tx
from core.kit.errors import Conflict, NotFound
from core.kit.ids import new_id, new_number
from core.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from core.ledger import balances
from core.ledger import service as ledger
from core.ledger.back import PayoutMoney, payout_transfers
from core.ledger.rules import Account
from core.payment import calls, payout_rows, registry
from core.payment.calls import Call, Detail
from core.payment.schemas import PayoutOrderView, PayoutsStarted, PayoutView, payout_order_view, payout_view

# What a cycle does not bother the bank with; it is paid with what comes after it.
MINIMUM = 100
EVERY = timedelta(seconds=10)
_BATCH = 500


class PayOutDue(msgspec.Struct, frozen=True):
    """Payload of the timer `pay_out`; with `actor_id` somebody asked for it, whenever the last one was."""

    merchant_id: UUID
    actor_id: UUID | None = None


async def pay_out(
    tx: Tx, merchant_id: UUID, *, actor_id: UUID | None, reason: str = "", minimum: int = 1
) -> UUID | None:
    """Pay the merchant all that it is owed, if that is `minimum` or more; the answer is the payout's id. For the system
    scope."""
    await balances.lock(tx, [merchant_id])
    payable, debt = Account(merchant_id, "payable"), Account(merchant_id, "debt")
    held = await balances.held(tx, [payable, debt])
    if -held[payable] < max(1, minimum):
        return None
    payout_id = new_id()
    owed = await payout_rows.take(tx, merchant_id, payout_id)
    assert owed > 0, "what a payable is made of adds up to it"
    provider = await payout_rows.provider_of(tx, merchant_id) or next(iter(registry.providers(tx.env)), "")
    netted = min(owed, max(0, held[debt]))
    money = PayoutMoney(merchant_id, payout_id, owed - netted, netted)
    await payout_rows.add(tx, money, new_number(), provider, reason, actor_id)
    await ledger.post(tx, payout_transfers(money))
    detail = Detail(recovered=netted)
    call = Call(
        *(merchant_id, money.payout_id, None, None, provider, "pay_out", money.amount, money.payout_id),
        detail,
    )
    await calls.ask(tx, [call])
    return money.payout_id


async def cycle(tx: Tx) -> None:
    """Have those merchants paid that are owed something and were not paid for `settings.payout_every`."""
    since = tx.now - timedelta(seconds=tx.env.settings.payout_every)
    for merchant_id in await payout_rows.owed(tx, MINIMUM, since, _BATCH):
        tx.schedule("core", "pay_out", PayOutDue(merchant_id), tx.now)


async def pay_out_due(tx: Tx, payload: msgspec.Raw) -> None:
    """Pay one merchant whose time has come, or whom staff wants paid."""
    due = msgspec.json.decode(payload, type=PayOutDue)
    since = tx.now - timedelta(seconds=tx.env.settings.payout_every)
    # A second delivery waits for the first here, and then sees its payout.
    await balances.lock(tx, [due.merchant_id])
    if due.actor_id is not None or not await payout_rows.paid_since(tx, due.merchant_id, since):
        await pay_out(tx, due.merchant_id, actor_id=due.actor_id, minimum=MINIMUM)


async def start(tx: Tx, merchant_id: UUID | None, actor_id: UUID) -> PayoutsStarted:
    """What staff asked for: pay one merchant all that it is owed now; or, after the commit, up to 500 that are owed the
    minimum. For the system scope.

    Raises `NotFound` for an unknown merchant; `Conflict` (`nothing_left`) when the one that was named is owed nothing.
    """
    if merchant_id is None:
        wanted = await payout_rows.owed(tx, MINIMUM, tx.now, _BATCH)
        for one in wanted:
            tx.schedule("core", "pay_out", PayOutDue(one, actor_id), tx.now)
        return PayoutsStarted(len(wanted))
    if not await tx.fetchval("select exists (select from merchant where id = $1)", merchant_id):
        raise NotFound("No such merchant.")
    made = await pay_out(tx, merchant_id, actor_id=actor_id)
    if made is None:
        raise Conflict("This merchant is owed nothing.", code="nothing_left")
    row = (await payout_rows.page(tx, merchant_id, None, 1))[0]
    return PayoutsStarted(1, [payout_view(row)])


async def page(tx: Tx, merchant_id: UUID | None, cursor: str | None, limit: int) -> Page[PayoutView]:
    """Payouts, newest first; of all merchants with None. Raises `Invalid`."""
    before = decode_cursor(cursor, UUID) if cursor is not None else None
    rows = await payout_rows.page(tx, merchant_id, before, check_limit(limit) + 1)
    following = encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
    return Page([payout_view(row) for row in rows[:limit]], following)


async def made_of(
    tx: Tx, merchant_id: UUID, payout_id: UUID, cursor: str | None, limit: int
) -> Page[PayoutOrderView]:
    """The orders that a payout was made of. Raises `NotFound`, `Invalid`."""
    after = decode_cursor(cursor, UUID) if cursor is not None else None
    rows = await payout_rows.orders(tx, merchant_id, payout_id, after, check_limit(limit) + 1)
    if not rows and not await tx.fetchval(
        "select exists (select from payout where merchant_id = $1 and id = $2)", merchant_id, payout_id
    ):
        raise NotFound("No such payout.")
    items = [payout_order_view(merchant_id, row) for row in rows[:limit]]
    return Page(items, encode_cursor(rows[limit - 1]["order_id"]) if len(rows) > limit else None)
