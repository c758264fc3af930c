"""All tables of core in one registry; importing this module completes it."""

from core.activities import models as activities
from core.aftersales import models as aftersales
from core.attribution import models as attribution
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
from core.pricing import models as pricing

__all__ = [
    "METADATA",
    "activities",
    "aftersales",
    "attribution",
    "cart",
    "catalog",
    "fulfilment",
    "identity",
    "inventory",
    "ledger",
    "merchants",
    "orders",
    "payment",
    "pricing",
]
