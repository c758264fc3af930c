"""Asks the plugins for rules and ways to ship, then prices the basket."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg
import msgspec
import structlog
from msgspec.structs import replace
from sqlalchemy.exc import SQLAlchemyError

from core import hookspecs
from core.db.tx import Tx
from core.kit.errors import JishiError
from core.pricing.engine import quote
from core.pricing.words import say
from core.types.pricing import Basket, Explanation, Matrix, PriceRule, Problem, Quote, ShippingOption

T = TypeVar("T")
Load = Callable[[Tx, Basket], Awaitable[Sequence[T]]]

_log = structlog.get_logger(__name__)

# The plugin refused the request itself, or the transaction is lost: both end the quote.
_FINAL = (JishiError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError, OSError)


class Loaded(msgspec.Struct, frozen=True):
    """A basket and all that the plugins have to say to it; it can be reckoned by several matrices. `arranged`: nobody
    offers shipping."""

    basket: Basket
    rules: tuple[PriceRule, ...]
    options: tuple[ShippingOption, ...]
    problems: tuple[Problem, ...]
    faults: tuple[Explanation, ...]
    arranged: bool


async def price(tx: Tx, basket: Basket, problems: Sequence[Problem] = ()) -> Quote:
    """The quote for `basket`; see `load`."""
    return reckon(await load(tx, basket, problems), tx.snapshot.matrix)


async def load(tx: Tx, basket: Basket, problems: Sequence[Problem] = ()) -> Loaded:
    """Ask the plugins; their loads run one after another on the transaction.

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
    return Loaded(basket, tuple(rules), tuple(options), tuple(problems), tuple(faults), not shippers)


def reckon(loaded: Loaded, matrix: Matrix) -> Quote:
    """The quote by `matrix`. Pure."""
    priced = quote(
        loaded.basket, loaded.rules, loaded.options, matrix, loaded.problems, arranged=loaded.arranged
    )
    return replace(priced, explain=(*loaded.faults, *priced.explain)) if loaded.faults else priced


async def _load(
    tx: Tx, basket: Basket, plugin: str, hook: str, load: Load[T], faults: list[Explanation]
) -> Sequence[T]:
    try:
        return list(await load(tx, basket))
    except _FINAL:
        raise
    except Exception:  # noqa: BLE001  a plugin's fault must not stop a purchase
        _log.exception("load_failed", plugin=plugin, hook=hook)
        faults.append(_fault(plugin, hook, "load_failed"))
        return ()


def _own(plugin: str, rules: Sequence[PriceRule], faults: list[Explanation]) -> list[PriceRule]:
    """Rules under the plugin's own name: by it, placing asks the plugin to claim what they use."""
    kept = [rule for rule in rules if getattr(rule, "plugin", None) == plugin]
    if len(kept) < len(rules):
        faults.append(_fault(plugin, "price_rules", "not_own"))
    return kept


def _fault(plugin: str, hook: str, name: str) -> Explanation:
    why = say(name)
    return Explanation(plugin, hook, "", "", "refused", why.en, 0, why.code, reason_zh=why.zh)
