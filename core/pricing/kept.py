"""Rules that hold for everybody, kept in the process by shop and version: the cart reads the versions along with its lines,
so what has not changed costs a quote no statement."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar
from uuid import UUID

from core.db.tx import Tx
from core.types.pricing import Basket

T = TypeVar("T")

_CHANGED = """
insert into rule_version as r (merchant_id, plugin, version) values ($1, $2, 1)
on conflict (merchant_id, plugin) do update set version = r.version + 1
"""


async def rules_changed(tx: Tx, plugin: str, merchant_id: UUID) -> None:
    """The plugin's rules of a shop (or the market) are about to change: call it in the transaction that writes them, in the
    shop's, the market's or the system scope. From the commit on, every quote reads them anew."""
    await tx.execute(_CHANGED, merchant_id, plugin)


class KeptRules(Generic[T]):
    """A plugin's rules, or what it makes them of, of up to `most` shops; one per plugin instance."""

    def __init__(self, plugin: str, most: int = 10_000) -> None:
        self._plugin, self._most = plugin, most
        self._kept: dict[UUID, tuple[int, tuple[T, ...]]] = {}

    async def of(
        self,
        tx: Tx,
        basket: Basket,
        read: Callable[[Tx, Sequence[UUID]], Awaitable[Mapping[UUID, Sequence[T]]]],
    ) -> list[T]:
        """What there is for the basket's shops and the market. `read` is called for those whose version is not kept, all at
        once; what it answers is at least as new as the version that the basket carries."""
        versions = basket.versions.get(self._plugin)
        if not versions:
            return []
        missing = [shop for shop, version in versions.items() if self._kept.get(shop, (0, ()))[0] != version]
        if missing:
            found = await read(tx, missing)
            if len(self._kept) + len(missing) > self._most:
                self._kept.clear()
            self._kept.update((shop, (versions[shop], tuple(found.get(shop, ())))) for shop in missing)
        return [rule for shop in versions for rule in self._kept[shop][1]]
