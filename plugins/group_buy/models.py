"""Tables of group-buying: events are the market's, all else is the shop's; a seat is shown to its buyer as well."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from core.api import Owner, access, at, fen, flag, json, metadata, number, one_of, text, uuid, uuids

METADATA = metadata()

# An event of the market; its id is that of the calendar's activity. Until `sign_up_until` the `invited` shops (none named:
# all) sign up for it with products of `category_ids` (none named: all) and one of these `sizes`. The rest are terms of every
# activity in it.
event = sa.Table(
    "group_buy_event",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    text("name"),
    text("rules", server_default=""),
    at("sign_up_until", nullable=False),
    at("starts_at", nullable=False),
    at("ends_at", nullable=False),
    at("stopped_at"),
    sa.Column("sizes", pg.ARRAY(sa.Integer()), nullable=False),
    number("hours"),
    text("new_only", nullable=True),
    uuids("invited"),
    uuids("category_ids"),
    number("merchant_share_bp"),
    flag("market_coupons"),
    at("created_at", nullable=False),
    sa.CheckConstraint("cardinality(sizes) > 0 and 2 <= all(sizes) and 10 >= all(sizes)", name="sizes"),
    sa.CheckConstraint("hours between 1 and 72", name="hours"),
    sa.CheckConstraint("ends_at > starts_at and sign_up_until <= starts_at", name="period"),
    sa.CheckConstraint("merchant_share_bp between 0 and 10000", name="share"),
    one_of("new_only", "market", "shop"),
    sa.Index("ix_group_buy_event_id", "id"),
    sa.Index("ix_group_buy_event_ends", "ends_at"),
    info=access(Owner.MERCHANT, public_read=True),
)

# What a shop hands in for the market's review, for an event or of its own: `terms` are those of the activity that it becomes
# under the same id once it is approved. `version` counts the changes, so that what is approved is what was read. The
# statuses are those of `review.py`.
entry = sa.Table(
    "group_buy_entry",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("event_id", nullable=True),
    uuid("product_id"),
    json("terms", nullable=False),
    number("version", server_default="1"),
    text("status", server_default="waiting"),
    text("reason", server_default=""),
    at("applied_at", nullable=False),
    at("reviewed_at"),
    uuid("reviewed_by", nullable=True),
    one_of("status", "waiting", "approved", "refused", "withdrawn"),
    sa.Index(
        "uq_group_buy_entry_once",
        "merchant_id",
        "event_id",
        "product_id",
        unique=True,
        postgresql_where=sa.text("event_id is not null and status <> 'withdrawn'"),
    ),
    sa.Index("ix_group_buy_entry_event", "event_id", "id"),
    sa.Index("ix_group_buy_entry_status", "status", "id"),
    info=access(Owner.MERCHANT),
)

# Its id is that of the calendar's entry; of one that is part of an event that is the event's. `hours` is how long a group
# may take to fill, from the leader's payment on. `new_only`: members must never have paid an order, in the `market` or in
# the `shop`. `market_coupons`: those of the market go with the price. The shop bears `merchant_share_bp` of the discount,
# the market the rest.
activity = sa.Table(
    "group_buy_activity",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("product_id"),
    uuid("event_id", nullable=True),
    text("name"),
    number("size"),
    number("hours"),
    number("per_order", nullable=True),
    number("per_account", nullable=True),
    text("new_only", nullable=True),
    flag("show_open", default=True),
    flag("virtual_fill"),
    flag("market_coupons"),
    number("merchant_share_bp", server_default="10000"),
    at("starts_at", nullable=False),
    at("ends_at", nullable=False),
    at("stopped_at"),
    at("created_at", nullable=False),
    sa.CheckConstraint("merchant_share_bp between 0 and 10000", name="share"),
    sa.CheckConstraint("size between 2 and 10", name="size"),
    sa.CheckConstraint("hours between 1 and 72", name="hours"),
    sa.CheckConstraint("ends_at > starts_at", name="period"),
    sa.CheckConstraint("per_order > 0 and per_account > 0", name="limits"),
    one_of("new_only", "market", "shop"),
    sa.Index("ix_group_buy_activity_id", "id"),
    sa.Index("ix_group_buy_activity_product", "merchant_id", "product_id"),
    sa.Index(
        "ix_group_buy_activity_event", "event_id", "id", postgresql_where=sa.text("event_id is not null")
    ),
    info=access(Owner.MERCHANT, public_read=True),
)

# `sold` counts the pieces of trades that were placed and neither given up nor refunded; never more than `quota`.
price = sa.Table(
    "group_buy_price",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("activity_id", primary_key=True),
    uuid("sku_id", primary_key=True),
    fen("price"),
    fen("leader_price", nullable=True),
    number("quota"),
    number("sold", server_default="0"),
    sa.ForeignKeyConstraint(
        ["merchant_id", "activity_id"], ["group_buy_activity.merchant_id", "group_buy_activity.id"]
    ),
    sa.CheckConstraint(
        "price > 0 and (leader_price is null or leader_price between 1 and price)", name="price"
    ),
    sa.CheckConstraint("sold between 0 and quota", name="sold"),
    info=access(Owner.MERCHANT, public_read=True),
)

# The statuses are those of `machine.py`. `taken` seats are held or paid, `paid` are paid; `expires_at` is known from the
# leader's payment on. `placeholders` stand for buyers that never came (virtual fill). Nothing here says who is in it, so
# that everybody may read it.
group = sa.Table(
    "group_buy_group",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("activity_id"),
    text("code"),
    text("status", server_default="opening"),
    number("size"),
    number("taken", server_default="1"),
    number("paid", server_default="0"),
    number("placeholders", server_default="0"),
    at("created_at", nullable=False),
    at("opened_at"),
    at("expires_at"),
    at("ended_at"),
    one_of("status", "opening", "running", "succeeded", "failing", "failed", "closed"),
    sa.ForeignKeyConstraint(
        ["merchant_id", "activity_id"], ["group_buy_activity.merchant_id", "group_buy_activity.id"]
    ),
    sa.CheckConstraint("taken between 0 and size and paid between 0 and taken", name="seats"),
    sa.CheckConstraint("(opened_at is null) = (expires_at is null)", name="opened"),
    sa.CheckConstraint(
        "status not in ('running', 'succeeded', 'failing', 'failed') or opened_at is not null", name="began"
    ),
    sa.CheckConstraint("status <> 'succeeded' or paid + placeholders = size", name="full"),
    sa.Index("uq_group_buy_group_code", "code", unique=True),
    sa.Index("ix_group_buy_group_activity", "merchant_id", "activity_id", "id"),
    sa.Index(
        "ix_group_buy_group_running",
        "merchant_id",
        "activity_id",
        "expires_at",
        postgresql_where=sa.text("status = 'running'"),
    ),
    info=access(Owner.MERCHANT, public_read=True),
)

# A place in a group, taken by an order: `held` until it is paid or given up (`closed`); `expired`: the group was over first;
# `refused`: paid too late or by somebody it is not for; `leaving`: paid, and to be refunded; `refunded`: that is decided.
# Only what is held or paid has a `number`. `live` while the group is not over: one for an account and activity.
# `left_group`: its buyer gave it up. Of `units`, refunds took back `returned`.
seat = sa.Table(
    "group_buy_seat",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("activity_id"),
    uuid("group_id"),
    uuid("account_id"),
    uuid("order_id"),
    uuid("sku_id"),
    number("number", nullable=True),
    number("size"),
    flag("leader"),
    flag("live", default=True),
    flag("left_group"),
    text("status", server_default="held"),
    number("units"),
    number("returned", server_default="0"),
    fen("price"),
    at("created_at", nullable=False),
    at("paid_at"),
    one_of("status", "held", "paid", "closed", "expired", "refused", "leaving", "refunded"),
    sa.ForeignKeyConstraint(
        ["merchant_id", "group_id"], ["group_buy_group.merchant_id", "group_buy_group.id"]
    ),
    sa.CheckConstraint("number between 1 and size", name="number"),
    sa.CheckConstraint("(number is not null) = (status in ('held', 'paid'))", name="seated"),
    sa.CheckConstraint("not live or status in ('held', 'paid')", name="live"),
    sa.CheckConstraint("units > 0 and returned between 0 and units", name="units"),
    sa.UniqueConstraint("merchant_id", "group_id", "number"),
    sa.UniqueConstraint("merchant_id", "order_id"),
    sa.Index(
        "uq_group_buy_seat_live",
        "merchant_id",
        "activity_id",
        "account_id",
        unique=True,
        postgresql_where=sa.text("live"),
    ),
    sa.Index("ix_group_buy_seat_account", "account_id", "id"),
    info=access(Owner.MERCHANT, buyer_read=True),
)
