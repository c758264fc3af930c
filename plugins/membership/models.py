"""Tables of the membership: levels belong to who defines them (the market is a merchant), all else to the member.

Whoever writes of a member locks the row of `membership_account` first; the others follow from it.
"""

import sqlalchemy as sa

from core.api import Owner, access, at, fen, flag, json, metadata, number, one_of, text, uuid

METADATA = metadata()

# `discount_bp` is what is taken off (1000: 10 %); `prices` are [SKU, product, fen], which come before it. Of a level of the
# market the shops bear `merchant_share_bp`. `gained_by`: how one comes to the level; `growth`: what it takes, or null where
# it takes a purchase.
level = sa.Table(
    "membership_level",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    text("name"),
    text("gained_by", server_default="growth"),
    fen("growth", nullable=True),
    number("discount_bp", server_default="0"),
    number("merchant_share_bp"),
    json("prices", nullable=False, server_default="[]"),
    text("perks", server_default=""),
    at("created_at", nullable=False),
    one_of("gained_by", "growth", "purchase"),
    sa.CheckConstraint("growth >= 0 and (gained_by = 'growth') = (growth is not null)", name="growth"),
    sa.CheckConstraint("discount_bp between 0 and 10000", name="discount"),
    sa.CheckConstraint("merchant_share_bp between 0 and 10000", name="share"),
    sa.UniqueConstraint("merchant_id", "growth"),
    info=access(Owner.MERCHANT, public_read=True),
)

# The SKUs that sell a level: each piece of the shop's brings `months` of it. Orders placed from `from_at` on and before
# `until_at` are sold by this; what is on sale (`until_at` null) sells but one level of each issuer.
sale = sa.Table(
    "membership_sale",
    METADATA,
    uuid("merchant_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("level_id"),
    uuid("shop_id"),
    uuid("sku_id"),
    uuid("product_id"),
    number("months"),
    at("from_at", nullable=False),
    at("until_at"),
    sa.CheckConstraint("months > 0", name="months"),
    sa.ForeignKeyConstraint(
        ["merchant_id", "level_id"],
        ["membership_level.merchant_id", "membership_level.id"],
        ondelete="CASCADE",
    ),
    sa.Index("ix_membership_sale_level", "merchant_id", "level_id"),
    sa.Index("ix_membership_sale_sku", "shop_id", "sku_id"),
    sa.Index(
        "uq_membership_sale_now",
        "merchant_id",
        "sku_id",
        unique=True,
        postgresql_where=sa.text("until_at is null"),
    ),
    info=access(Owner.MERCHANT, public_read=True),
)

# Points that can be spent, and those that had been spent when they were to be taken back. What is earned pays the debt
# first, so nobody has both. Points less debt are the sum of the journal. Of a guest that was merged only the journal stays,
# and `merged_into`, the account that has all the rest.
account = sa.Table(
    "membership_account",
    METADATA,
    uuid("account_id", primary_key=True),
    fen("points", server_default="0"),
    fen("debt", server_default="0"),
    at("created_at", nullable=False),
    uuid("merged_into", nullable=True),
    sa.CheckConstraint("points >= 0", name="points"),
    sa.CheckConstraint("debt >= 0", name="debt"),
    sa.CheckConstraint("points = 0 or debt = 0", name="both"),
    sa.CheckConstraint("merged_into is null or (points = 0 and debt = 0)", name="merged"),
    sa.Index(
        "ix_membership_account_merged", "merged_into", postgresql_where=sa.text("merged_into is not null")
    ),
    info=access(Owner.BUYER),
)

# The account's points by when they end; their sum is `membership_account.points`.
lot = sa.Table(
    "membership_lot",
    METADATA,
    uuid("account_id", primary_key=True),
    at("expires_at", primary_key=True, nullable=False),
    fen("points"),
    sa.CheckConstraint("points >= 0", name="points"),
    sa.Index("ix_membership_lot_ends", "expires_at", postgresql_where=sa.text("points > 0")),
    info=access(Owner.BUYER),
)

# Growth in the market (under its id) and in each shop. `id` is how staff name the member without learning the account.
member = sa.Table(
    "membership_member",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("merchant_id"),
    fen("growth", server_default="0"),
    at("joined_at", nullable=False),
    sa.CheckConstraint("growth >= 0", name="growth"),
    sa.UniqueConstraint("account_id", "merchant_id"),
    sa.Index("ix_membership_member_of", "merchant_id", "id"),
    info=access(Owner.BUYER),
)

# Time of bought levels without a break: `months` from `since` and `extra` seconds, which is `until`.
term = sa.Table(
    "membership_term",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("level_id", primary_key=True),
    uuid("merchant_id"),
    at("since", nullable=False),
    number("months"),
    fen("extra", server_default="0"),
    at("until", nullable=False),
    sa.Index("ix_membership_term_level", "level_id", "until"),
    info=access(Owner.BUYER),
)

# Every change of points (the market's), growth, and months of a bought level, and why. The same `cause` is written but once.
# `by` is the staff member who did it; `expires_at`, until when points that came can be spent, or the level holds now.
journal = sa.Table(
    "membership_journal",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("id", primary_key=True),
    uuid("merchant_id"),
    text("unit"),
    fen("amount"),
    text("kind"),
    text("cause"),
    text("reference", server_default=""),
    text("note", server_default=""),
    uuid("by", nullable=True),
    at("expires_at"),
    uuid("level_id", nullable=True),
    at("at", nullable=False),
    one_of("unit", "points", "growth", "level"),
    one_of(
        "kind",
        "earned",
        "used",
        "returned",
        "taken_back",
        "expired",
        "granted",
        "revoked",
        "adjusted",
        "bought",
        "merged",
    ),
    sa.CheckConstraint("(unit = 'level') = (level_id is not null)", name="level"),
    sa.Index("uq_membership_journal_cause", "account_id", "cause", unique=True),
    info=access(Owner.BUYER, append_only=True),
)

# What an order used and brought. Used: `used_points` worth `used_fen`, from the lots `parts` ([end, points]); `refunds` are
# fen of it by refund, `back_points` what came back. Brought: reckoned on `kept_fen` of the `base_fen` that were paid for its
# goods, at the rates of then; `points` and `growth` are what it brings after refunds, and `ends_at` when these points end.
# `bought` are the pieces that brought time of a level (`terms.Bought`).
order = sa.Table(
    "membership_order",
    METADATA,
    uuid("account_id", primary_key=True),
    uuid("order_id", primary_key=True),
    uuid("merchant_id"),
    uuid("trade_id"),
    fen("used_points", server_default="0"),
    fen("used_fen", server_default="0"),
    json("parts", nullable=False, server_default="[]"),
    json("refunds", nullable=False, server_default="{}"),
    fen("back_points", server_default="0"),
    flag("closed"),
    fen("base_fen", server_default="0"),
    fen("kept_fen", server_default="0"),
    number("points_per_yuan", server_default="0"),
    number("growth_per_yuan", server_default="0"),
    fen("points", server_default="0"),
    fen("growth", server_default="0"),
    at("earned_at"),
    at("ends_at"),
    json("bought", nullable=False, server_default="[]"),
    sa.CheckConstraint("back_points between 0 and used_points", name="back"),
    sa.CheckConstraint("kept_fen between 0 and base_fen", name="kept"),
    sa.CheckConstraint("points >= 0 and growth >= 0", name="brought"),
    info=access(Owner.BUYER),
)
