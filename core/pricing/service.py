"""Asks the plugins for rules and ways to ship, then prices the basket."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg
import structlog
from msgspec.structs import replace
from sqlalchemy.exc import SQLAlchemyError

from core import hookspecs
from core.db.tx import Tx
from core.kit.errors import JishiError
from core.pricing.engine import quote
from core.types.pricing import Basket, Explanation, PriceRule, Problem, Quote, ShippingOption

T = TypeVar("T")
Load = Callable[[Tx, Basket], Awaitable[Sequence[T]]]

_log = structlog.get_logger(__name__)

# The plugin refused the request itself, or the transaction is lost: both end the quote.
_FINAL = (JishiError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError, OSError)


async def price(tx: Tx, basket: Basket, problems: Sequence[Problem] = ()) -> Quote:
    """The quote for `basket`; loads run one after another on the transaction.

    A plugin whose load fails is left out and named in `explain`; business and database errors are raised.
    Core's own free shipping applies only while no plugin offers shipping: one that fails must not make it
    free.
    """
    faults: list[Explanation] = []
    rules: list[PriceRule] = []
    options: list[ShippingOption] = []
    shippers = tx.hooks.of(hookspecs.shipping_options)
    if basket.lines:
        for plugin, load_rules in tx.hooks.of(hookspecs.price_rules):
            found = await _load(tx, basket, plugin, "price_rules", load_rules, faults)
            rules += _own(plugin, found, faults)
        for plugin, load_options in shippers:
            options += await _load(tx, basket, plugin, "shipping_options", load_options, faults)
    priced = quote(basket, rules, options, tx.snapshot.matrix, problems, arranged=not shippers)
    return replace(priced, explain=(*faults, *priced.explain)) if faults else priced


async def _load(
    tx: Tx, basket: Basket, plugin: str, hook: str, load: Load[T], faults: list[Explanation]
) -> Sequence[T]:
    try:
        return list(await load(tx, basket))
    except _FINAL:
        raise
    except Exception:  # noqa: BLE001  a plugin's fault must not stop a purchase
        _log.exception("load_failed", plugin=plugin, hook=hook)
        faults.append(_fault(plugin, hook, "This plugin failed and was left out.", "load_failed"))
        return ()


def _own(plugin: str, rules: Sequence[PriceRule], faults: list[Explanation]) -> list[PriceRule]:
    """Rules under the plugin's own name: by it, placing asks the plugin to claim what they use."""
    kept = [rule for rule in rules if getattr(rule, "plugin", None) == plugin]
    if len(kept) < len(rules):
        faults.append(
            _fault(plugin, "price_rules", "Rules under another plugin's name were left out.", "not_own")
        )
    return kept


def _fault(plugin: str, hook: str, reason: str, code: str) -> Explanation:
    return Explanation(plugin, hook, "", "", "refused", reason, 0, code)
