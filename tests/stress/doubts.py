"""Are the proofs awake? Damage is done in a transaction that is given up again, and its proof must complain."""

from typing import Any

import asyncpg

from tests.stress.proofs import PROOFS
from tests.stress.story import World

_PAID = "(select id from orders where paid_at is not null and payable > 0 order by id limit 1)"
# By a word of the statement: damage that its proof must see. The first that finds something to damage counts.
_DAMAGE = {
    "rolled-up": ["update ledger_balance set debit = debit + 1 where (merchant_id, owner, kind) = (select merchant_id, owner, kind from ledger_balance limit 1)"],
    "below zero": ["delete from ledger_transfer where id = (select id from ledger_transfer where code = 'release.payable' limit 1)"],
    "each fen once": ["update ledger_transfer set amount = amount + 1 where id = (select id from ledger_transfer where code = 'release.payable' limit 1)"],
    "earners were promised": ["update order_earning set amount = amount + 1 where id = (select id from order_earning limit 1)"],
    "never left has all": [
        "update orders set refunded_amount = refunded_amount - 1 where id = (select id from orders where status = 'closed' and paid_at is not null and refunded_amount > 0 limit 1)"
    ],
    "refunded twice": ["update payment set status = 'paid' where id = (select id from payment where status = 'refunded' and amount > 0 limit 1)"],
    "payouts are made of": ["update payout_entry set payout_id = null where id = (select id from payout_entry where payout_id is not null limit 1)"],
    "service's balances": ["update ledger_transfer set amount = amount + 1 where id = (select id from ledger_transfer where code = 'pay.buyer' limit 1)"],
    "captured and sent back": ["update payment set status = 'created' where id = (select payment_id from payment_leg join payment p on p.id = payment_id where p.status = 'paid' and payment_leg.amount > 0 limit 1)"],
    "call was done once": ["update channel_call set amount = amount + 1 where id = (select id from channel_call where kind <> 'finish' limit 1)"],
    "sums of the journal": ["update stock set on_hand = on_hand + 1 where sku_id = (select sku_id from stock limit 1)"],
    "orders wait for": ["update stock set reserved = reserved + 1 where sku_id = (select sku_id from stock where on_hand > reserved limit 1)"],
    "in parcels": ["update parcel_line set quantity = quantity + 1 where parcel_id = (select id from parcel where kind = 'express' and aftersale_id is null limit 1)"],
    "left the stock": ["update stock_move set on_hand_delta = on_hand_delta - 1 where id = (select id from stock_move where reference is not null and on_hand_delta < 0 limit 1)"],
    "no coupon": ["update coupons_template set claimed = claimed + 1 where id = (select id from coupons_template where claimed < total limit 1)"],
    "held": ["insert into order_hold (merchant_id, order_id, plugin, account_id, reason, created_at) select merchant_id, id, 'stress', account_id, 'doubt', now() from orders limit 1"],
    "every order is over": [f"update orders set released_at = null where id = {_PAID}", f"update orders set status = 'paid' where id = {_PAID}"],
    "sales": ["update listing set sales = sales + 1 where product_id = (select product_id from listing where sales > 0 limit 1)"],
    "parked": ["update delivery set status = 'parked' where event_id = (select event_id from delivery limit 1)"],
}  # fmt: skip


async def doubt(world: World) -> None:
    """A proof that does not see the damage is a finding; one for which there was nothing to damage is told."""
    for statement, look in PROOFS:
        damages = next((sql for word, sql in _DAMAGE.items() if word in statement), None)
        if damages is None:
            continue
        async with world.database.connected() as connection:
            seen = [await _sees(connection, damage, look, world) for damage in damages]
        if False in seen and True not in seen:
            world.tally.found("a proof is blind", statement)
        elif True not in seen:
            world.tally.untried.append(statement)


async def _sees(connection: Any, damage: str, look: Any, world: World) -> bool | None:
    """Whether the proof complains of it; None when there was nothing to damage."""
    point = connection.transaction()
    await point.start()
    try:
        done = str(await connection.execute(damage))
        return None if done.endswith(" 0") else bool(await look(connection, world))
    except asyncpg.IntegrityConstraintViolationError:
        # The database itself does not let it happen.
        return True
    finally:
        await point.rollback()
