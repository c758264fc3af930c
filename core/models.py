"""All tables of core in one registry; importing this module completes it."""

from core.aftersales import models as aftersales
from core.cart import models as cart
from core.catalog import models as catalog
from core.db.registry import METADATA
from core.fulfilment import models as fulfilment
from core.identity import models as identity
from core.inventory import models as inventory
from core.ledger import models as ledger
from core.merchants import models as merchants
from core.orders import models as orders
from core.payment import models as payment

__all__ = [
    "METADATA",
    "aftersales",
    "cart",
    "catalog",
    "fulfilment",
    "identity",
    "inventory",
    "ledger",
    "merchants",
    "orders",
    "payment",
]
