"""What identity's routes take and give. Ids are opaque strings."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from core.kit.geo import Point
from core.types.scope import Audience

Login = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=64,
        pattern="^[A-Za-z0-9][A-Za-z0-9._@+-]*$",
        description="Letters, digits and . _ @ + -, starting with a letter or digit; case is ignored",
    ),
]
Password = Annotated[str, Meta(min_length=8, max_length=128)]
Nickname = Annotated[str, Meta(min_length=1, max_length=40)]
Id = Annotated[str, Meta(max_length=64)]
Text = Annotated[str, Meta(min_length=1, max_length=32)]
GuestToken = Annotated[str, Meta(max_length=2048)]


class SignIn(Struct, frozen=True, forbid_unknown_fields=True):
    """`provider` decides which of the other fields count; `password` wants `login` and `password`.
    `merchant_id` says which shop, for staff of several. `guest_token`: a guest's access token; what that guest had goes to
    the account, with audience `shop`."""

    provider: Annotated[str, Meta(min_length=1, max_length=32)]
    login: Annotated[str, Meta(max_length=64)] = ""
    password: Annotated[str, Meta(max_length=128)] = ""
    audience: Audience = Audience.SHOP
    merchant_id: Id | None = None
    guest_token: GuestToken | None = None


class Registration(Struct, frozen=True, forbid_unknown_fields=True):
    """A new buyer. `guest_token`: the access token of the guest that the buyer was until now."""

    login: Login
    password: Password
    nickname: Nickname
    guest_token: GuestToken | None = None


class Refresh(Struct, frozen=True, forbid_unknown_fields=True):
    """The refresh token last given; it works once."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=128)]


class AudienceView(Struct, frozen=True, omit_defaults=True):
    """One branch of the API that the account may sign in to; `merchant_id` and its name for shops."""

    audience: Audience
    roles: list[str]
    merchant_id: str | None = None
    merchant_name: str | None = None


class AccountView(Struct, frozen=True, omit_defaults=True):
    """The account as it sees itself; `guest` when nobody has signed in to it yet."""

    id: str
    nickname: str
    audiences: list[AudienceView]
    guest: bool = False


class Tokens(Struct, frozen=True):
    """`expires_in` is the access token's life in seconds. `cart_merged`, there when a `guest_token` was sent: whether what
    the guest had is the account's now."""

    access_token: str
    expires_in: int
    refresh_token: str
    account: AccountView
    cart_merged: bool | UnsetType = UNSET


class MerchantChoice(Struct, frozen=True):
    """A shop to choose at sign-in."""

    merchant_id: str
    name: str


class AddressInput(Struct, frozen=True, forbid_unknown_fields=True):
    """An address. `phone`: a mainland mobile or landline number; `location` in GCJ-02."""

    recipient: Text
    phone: Annotated[str, Meta(min_length=1, max_length=24)]
    province: Text
    city: Text
    district: Text
    street: Annotated[str, Meta(min_length=1, max_length=200)]
    location: Point | None = None
    is_default: bool = False


class AddressView(Struct, frozen=True):
    """An address as its owner sees it."""

    id: str
    recipient: str
    phone: str
    province: str
    city: str
    district: str
    street: str
    location: Point | None
    is_default: bool


class StaffInput(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who shall work here. With `password` a new account is made; without, `login` is an account
    there is, and if it works here already its roles are replaced."""

    login: Login
    roles: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=32)]], Meta(min_length=1, max_length=8)
    ]
    password: Password | None = None
    nickname: Nickname | None = None


class StaffView(Struct, frozen=True):
    """Somebody who works here."""

    account_id: str
    login: str
    nickname: str
    roles: list[str]
    created_at: datetime


class ActorView(Struct, frozen=True):
    """Who did it; `login` and `nickname` are null when the account is gone."""

    id: str
    login: str | None
    nickname: str | None


class AuditView(Struct, frozen=True):
    """One staff action. `target` is what it was done to, `detail` what the action recorded about it."""

    id: str
    at: datetime
    actor: ActorView
    merchant_id: str
    action: str
    target: str
    detail: Mapping[str, Any]
    request_id: str
