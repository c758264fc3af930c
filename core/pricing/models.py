"""Tables of pricing."""

import sqlalchemy as sa

from core.db.base import Owner, access, fen, text, uuid
from core.db.registry import METADATA

# Which version a plugin's rules of a shop (or of the market) have, for processes that keep them. No row: it has none.
rule_version = sa.Table(
    "rule_version",
    METADATA,
    uuid("merchant_id", primary_key=True),
    text("plugin", primary_key=True),
    fen("version"),
    info=access(Owner.MERCHANT, public_read=True, platform_write=True),
)
