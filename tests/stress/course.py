"""One paid order on its way, and who does what with it."""

from typing import Any

from tests.stress.client import Answer
from tests.stress.story import Story

CARRIERS = ("sf", "zto", "jd")


class Course:
    """One order on its way."""

    def __init__(self, story: Story, order: Any) -> None:
        self.story, self.id = story, str(order["id"])
        self.shop = story.world.scene.shops[order["merchant"]["id"]]
        self.order = order

    def draw(self, what: str) -> Any:
        """The chance that decides about this order; orders of a trade are told apart by their shop."""
        return self.story.draw(f"{self.shop.slug} {what}")

    @property
    def status(self) -> str:
        """As it was last seen."""
        return str(self.order["status"])

    async def look(self) -> Any:
        """See how it stands."""
        self.order = await self.story.order(self.id)
        return self.order

    async def at_shop(self, verb: str, body: Any = None, *, may: tuple[str, ...] = ()) -> Answer:
        """The shop does something with it."""
        return await self.story.post(self.shop.owner, f"/api/merchant/orders/{self.id}/{verb}", body, may=may)

    async def by_buyer(self, verb: str, body: Any = None, *, may: tuple[str, ...] = ()) -> Answer:
        """The buyer does."""
        return await self.story.post(self.story.buyer, f"/api/shop/orders/{self.id}/{verb}", body, may=may)

    async def by_market(self, verb: str, body: Any = None, *, may: tuple[str, ...] = ()) -> Answer:
        """The market does."""
        path = f"/api/platform/orders/{self.id}/{verb}"
        return await self.story.post(self.story.world.scene.operator, path, body, may=may)

    async def reach(self, *statuses: str, seconds: float = 90) -> str:
        """Wait until it is one of these; how it stands."""
        await self.story.until(
            self.look,
            lambda o: o["status"] in statuses,
            f"order {self.order['number']} is {statuses}",
            seconds=seconds,
        )
        return self.status
