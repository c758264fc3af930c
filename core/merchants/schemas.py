"""What merchant routes take and give."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from core.kit.geo import Point

Name = Annotated[str, Meta(min_length=1, max_length=80)]
Slug = Annotated[str, Meta(pattern=r"^[a-z0-9-]{3,40}\Z")]
About = Annotated[str, Meta(max_length=5000)]
Url = Annotated[str, Meta(max_length=2048)]
Short = Annotated[str, Meta(max_length=200)]


class OwnerIn(Struct, frozen=True, forbid_unknown_fields=True):
    """The account that will run the shop."""

    login: Annotated[str, Meta(min_length=1, max_length=64)]
    password: Annotated[str, Meta(min_length=1, max_length=200)]


class Licence(Struct, frozen=True):
    """What the law wants shown of a shop: the licensed name, its number, where and how to reach it."""

    name: Short = ""
    number: Short = ""
    address: Short = ""
    phone: Short = ""
    image_url: Url | None = None


# What is stored is read leniently: during a rolling update a newer process may have written fields that this one lacks.
class LicenceIn(Licence, frozen=True, forbid_unknown_fields=True):
    """A shop's licence as a request says it; what is left out is empty."""


class MerchantIn(Struct, frozen=True, forbid_unknown_fields=True):
    """An application for a shop."""

    name: Name
    slug: Slug
    owner: OwnerIn
    location: Point | None = None
    about: About = ""
    image_url: Url | None = None
    licence: LicenceIn = LicenceIn()


class SuspendIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a shop is closed for now; shown to its staff."""

    reason: Annotated[str, Meta(max_length=500)] = ""


class ShopPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """What a shop may change about itself; what is left out stays."""

    name: Name | UnsetType = UNSET
    about: About | UnsetType = UNSET
    location: Point | UnsetType | None = UNSET
    image_url: Url | UnsetType | None = UNSET
    licence: LicenceIn | UnsetType = UNSET


class MerchantOut(Struct, frozen=True):
    """A merchant as the operator and its own staff see it."""

    id: str
    slug: str
    name: str
    status: str
    about: str
    image_url: str | None
    location: Point | None
    licence: Licence
    rating: int | None
    created_at: datetime
    opened_at: datetime | None
    suspended_at: datetime | None
    suspended_reason: str | None


class ShopCard(Struct, frozen=True):
    """An open shop in a list. `rating` in basis points of full marks, None before the first; `distance_m` only when
    the caller said where they are and the shop has a place."""

    id: str
    slug: str
    name: str
    image_url: str | None
    about: str
    location: Point | None
    rating: int | None
    distance_m: int | None = None


class ShopOut(Struct, frozen=True):
    """An open shop's public page."""

    id: str
    slug: str
    name: str
    image_url: str | None
    about: str
    location: Point | None
    rating: int | None
    licence: Licence
