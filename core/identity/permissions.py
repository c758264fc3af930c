"""What staff may do. A role is a set of permissions; `owner` and `admin` may do all in their audience."""

from collections.abc import Iterable, Mapping

from core.plugin import Permission
from core.types.scope import Audience, Principal

# The roles that may do everything, plugins' permissions included.
FULL = frozenset({"owner", "admin"})

_MERCHANT, _PLATFORM = Audience.MERCHANT.value, Audience.PLATFORM.value

CORE: tuple[Permission, ...] = (
    Permission("products.read", _MERCHANT, "See products", ("clerk", "marketing")),
    Permission("products.write", _MERCHANT, "Create, change, list and delist products", ("clerk",)),
    Permission("stock.read", _MERCHANT, "See stock", ("clerk",)),
    Permission("stock.write", _MERCHANT, "Move stock", ("clerk",)),
    Permission("orders.read", _MERCHANT, "See orders", ("clerk", "finance")),
    Permission("orders.write", _MERCHANT, "Accept, ship and close orders", ("clerk",)),
    Permission("orders.refund", _MERCHANT, "Refund orders", ("clerk",)),
    Permission(
        "activities.read", _MERCHANT, "See the calendar of activities", ("clerk", "marketing", "finance")
    ),
    Permission("activities.write", _MERCHANT, "Open and change campaigns", ("marketing",)),
    Permission("aftersales.read", _MERCHANT, "See after-sales cases", ("clerk", "finance")),
    Permission("aftersales.write", _MERCHANT, "Answer after-sales cases", ("clerk",)),
    Permission("ledger.read", _MERCHANT, "See money and statements", ("finance",)),
    Permission("shop.write", _MERCHANT, "Change the shop's page and categories"),
    Permission("staff.manage", _MERCHANT, "Add, change and remove staff"),
    Permission("plugins.manage", _PLATFORM, "Switch plugins on and off and configure them"),
    Permission("events.manage", _PLATFORM, "See, retry and drop effects, timers and outside calls"),
    Permission("pricing.manage", _PLATFORM, "Edit how offers combine"),
    Permission("merchants.manage", _PLATFORM, "Approve, suspend and reopen merchants", ("reviewer",)),
    Permission("categories.manage", _PLATFORM, "Change the market's categories", ("reviewer",)),
    Permission("products.read", _PLATFORM, "See all products", ("reviewer",)),
    Permission("orders.read", _PLATFORM, "See all orders", ("reviewer", "finance")),
    Permission("orders.refund", _PLATFORM, "Refund any order", ("reviewer",)),
    Permission("aftersales.read", _PLATFORM, "See all after-sales cases", ("reviewer", "finance")),
    Permission("aftersales.decide", _PLATFORM, "Decide after-sales cases", ("reviewer",)),
    Permission("trades.read", _PLATFORM, "See all trades", ("reviewer", "finance")),
    Permission("activities.read", _PLATFORM, "See all activities", ("reviewer", "finance")),
    Permission("activities.write", _PLATFORM, "Open and change the market's campaigns", ("reviewer",)),
    Permission("ledger.read", _PLATFORM, "See the ledger", ("finance",)),
    Permission("payments.manage", _PLATFORM, "Retry calls of payment services", ("finance",)),
    Permission("payouts.manage", _PLATFORM, "Pay merchants what they are owed", ("finance",)),
    Permission("doctor.read", _PLATFORM, "See what the doctor finds"),
    Permission("audit.read", _PLATFORM, "See what staff did"),
    Permission("staff.manage", _PLATFORM, "Add, change and remove staff"),
)

# The roles there are in each audience, whatever the plugins.
ROLE_NAMES: Mapping[Audience, tuple[str, ...]] = {
    Audience.MERCHANT: ("owner", "admin", "clerk", "finance", "marketing"),
    Audience.PLATFORM: ("owner", "admin", "reviewer", "finance"),
}


def _granted(audience: Audience, role: str) -> frozenset[str]:
    mine = (p for p in CORE if p.audience == audience)
    return frozenset(p.name for p in mine if role in FULL or role in p.roles)


# (audience, role) -> names of core's permissions.
ROLES: Mapping[tuple[Audience, str], frozenset[str]] = {
    (audience, role): _granted(audience, role) for audience, roles in ROLE_NAMES.items() for role in roles
}


def allowed(me: Principal, permission: str, plugin_permissions: Iterable[Permission]) -> bool:
    """Whether staff may do `permission`, one of core's or of `plugin_permissions`. Buyers never may."""
    if me.audience is Audience.SHOP:
        return False
    if not FULL.isdisjoint(me.roles):
        return True
    if any(permission in ROLES.get((me.audience, role), ()) for role in me.roles):
        return True
    return any(
        p.name == permission and p.audience == me.audience and not set(p.roles).isdisjoint(me.roles)
        for p in plugin_permissions
    )
