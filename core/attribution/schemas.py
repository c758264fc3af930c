"""Visits on the wire."""

from typing import Annotated

import msgspec

from core.types.attribution import Source

_Id = Annotated[str, msgspec.Meta(max_length=64)]


# What is stored is read leniently: during a rolling update a newer process may have written fields that this one lacks.
class SourceIn(Source, frozen=True, forbid_unknown_fields=True):
    """A source as a request says it."""


class VisitIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page was opened: `page` is the client's own name of it; the shop or product that it shows, if any."""

    source: SourceIn
    page: Annotated[str, msgspec.Meta(max_length=64)] = ""
    merchant_id: _Id | None = None
    product_id: _Id | None = None


class Touches(msgspec.Struct, frozen=True):
    """The sources that first and last brought somebody; null as long as there is none."""

    first: Source | None = None
    last: Source | None = None
