"""The demo market as plugins find it."""

from collections.abc import Mapping
from uuid import UUID

import msgspec


class Demo(msgspec.Struct, frozen=True):
    """Who and what there is in the demo market when `Plugin.demo` is called.

    `shops` are merchants by slug, `accounts` people by login: `operator`, `buyer1` to `buyer9`, and each shop's owner by its
    slug. `products` by handle and `skus` by code are ids as clients know them, of what is on sale.
    """

    shops: Mapping[str, UUID]
    accounts: Mapping[str, UUID]
    products: Mapping[str, str]
    skus: Mapping[str, str]
