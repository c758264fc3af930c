"""Roles are sets of permissions; plugins add their own."""

import pytest

from core.identity.permissions import CORE, ROLE_NAMES, ROLES, allowed
from core.kit.ids import MARKET_ID, new_id
from core.plugin import Permission
from core.types.scope import Audience, Principal

COUPONS = (Permission("coupons.manage", "merchant", "Coupons", ("marketing",)),)


def staff(*roles: str, audience: Audience = Audience.MERCHANT) -> Principal:
    shop = MARKET_ID if audience is Audience.PLATFORM else new_id()
    return Principal(new_id(), new_id(), audience, shop, roles)


@pytest.mark.parametrize(
    ("role", "permission", "may"),
    [
        ("clerk", "orders.write", True),
        ("clerk", "stock.write", True),
        ("clerk", "ledger.read", False),
        ("clerk", "staff.manage", False),
        ("finance", "ledger.read", True),
        ("finance", "orders.write", False),
        ("marketing", "coupons.manage", True),
        ("clerk", "coupons.manage", False),
        ("owner", "coupons.manage", True),
        ("admin", "staff.manage", True),
        ("stranger", "orders.read", False),
    ],
)
def test_merchant_roles(role: str, permission: str, *, may: bool) -> None:
    assert allowed(staff(role), permission, COUPONS) is may


def test_roles_add_up() -> None:
    me = staff("clerk", "finance")
    assert allowed(me, "ledger.read", ())
    assert allowed(me, "products.write", ())


def test_a_role_of_one_audience_is_worth_nothing_in_another() -> None:
    assert not allowed(staff("clerk", audience=Audience.PLATFORM), "orders.write", ())
    assert not allowed(staff("marketing", audience=Audience.PLATFORM), "coupons.manage", COUPONS)
    assert not allowed(staff("reviewer"), "merchants.manage", ())


def test_a_buyer_may_nothing_whatever_the_token_says() -> None:
    assert not allowed(Principal(new_id(), new_id(), Audience.SHOP, None, ("owner",)), "orders.read", ())


def test_owners_have_every_permission_of_core_in_their_audience() -> None:
    for audience in ROLE_NAMES:
        assert ROLES[audience, "owner"] == {p.name for p in CORE if p.audience == audience}


def test_every_role_a_permission_names_exists() -> None:
    for permission in CORE:
        assert set(permission.roles) <= set(ROLE_NAMES[Audience(permission.audience)])
