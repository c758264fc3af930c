"""What plugins show on the products of a page."""

from collections.abc import Sequence
from uuid import UUID

import structlog

from core import hookspecs
from core.catalog.schemas import Badge as BadgeOut
from core.db.tx import Tx
from core.types.browse import Badge, BadgePage, ShelfProduct

_log = structlog.get_logger(__name__)


def wanted(tx: Tx) -> bool:
    """Whether any plugin shows badges."""
    return bool(tx.hooks.of(hookspecs.product_badges))


async def of_page(
    tx: Tx, products: Sequence[ShelfProduct], viewer: UUID | None
) -> dict[UUID, list[BadgeOut]]:
    """The badges of each product: by plugins' names, then as the plugin gave them.

    A plugin whose load fails, for whatever reason, is left out and logged: a public page shows without it. Only a lost
    connection is raised. Whatever a load writes or enters (`tx.enter`) is undone before the next.
    """
    found: dict[UUID, list[BadgeOut]] = {product.product_id: [] for product in products}
    if not products:
        return found
    page = BadgePage(tuple(products), viewer)
    for plugin, load in tx.hooks.of(hookspecs.product_badges):
        try:
            async with tx.aside():
                badges = [(badge.product_id, _shown(plugin, badge)) for badge in await load(tx, page)]
        except Exception:  # a plugin's fault must not break a public page
            if tx.lost:
                raise
            _log.exception("load_failed", plugin=plugin, hook="product_badges")
            continue
        for product_id, badge in badges:
            shown = found.get(product_id)
            if shown is not None:
                shown.append(badge)
    return found


def _shown(plugin: str, badge: Badge) -> BadgeOut:
    """The badge as it is sent. Plugins build badges without validation; one with a wrong field would break the page while it
    is sent."""
    if not (
        isinstance(badge, Badge)
        and badge.plugin == plugin
        and isinstance(badge.kind, str)
        and isinstance(badge.text, str)
        and (badge.price is None or type(badge.price) is int)
        and (badge.activity_id is None or isinstance(badge.activity_id, str))
    ):
        raise TypeError(f"{badge!r} is no badge of {plugin}.")
    return BadgeOut(badge.plugin, badge.kind, badge.text, badge.price, badge.activity_id)
