"""What a run came across: how often the rare things happened that it is meant to bring about."""

from tests.stress.story import World

_COUNTS = {
    "late or double payments sent back": "select count(*) from payment where status = 'refunded'",
    "mismatching notifications": "select count(*) from payment_notification where result = 'mismatch'",
    "refunds": "select count(*) from refund",
    "refunds with something kept back": "select count(*) from refund where deducted_amount > 0",
    "refunds of the market's discounts": "select count(*) from refund where market_borne > 0",
    "refunds after the release": "select count(distinct id) from ledger_transfer where code = 'refund.commission'",
    "refunds that became debt": "select count(*) from ledger_transfer where code = 'refund.debt'",
    "earnings taken back": "select count(*) from ledger_transfer where code = 'refund.earning'",
    "payouts": "select count(*) from payout",
    "payouts the bank returned": "select count(*) from payout where status = 'returned'",
    "debts netted": "select count(*) from ledger_transfer where code in ('payout.netted', 'release.netted')",
    "exchanges replaced": "select count(*) from parcel where aftersale_id is not null",
    "cases by arbitration": "select count(*) from aftersale_log where new_status = 'arbitration'",
    "silences": "select count(*) from aftersale_log where party = 'system'",
    "codes redeemed": "select count(*) from parcel where redeemed_by is not null",
    "holds": "select count(*) from order_log where event = 'held'",
    "coupons used": "select count(*) from coupons_use",
}


async def count(world: World) -> None:
    """Put the counts into the tally."""
    async with world.database.connected() as connection:
        for what, sql in _COUNTS.items():
            world.tally.reached[what] = await connection.fetchval(sql)
