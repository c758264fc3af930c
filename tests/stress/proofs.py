"""What must hold once it is quiet. Each proof gives a list of problems, with the numbers of the orders."""

from tests.stress import proofs_books, proofs_goods, proofs_money
from tests.stress.story import World

# Statements, and what looks whether they are true.
PROOFS = (*proofs_money.PROOFS, *proofs_books.PROOFS, *proofs_goods.PROOFS)


async def prove(world: World) -> None:
    """Look at all of them in one snapshot of the database; what does not hold is a finding."""
    async with world.database.connected() as connection:
        for statement, look in PROOFS:
            problems = await look(connection, world)
            for problem in problems:
                world.tally.found(f"not so: {statement}", problem, _story_of(world, problem))
            if not problems and statement not in world.tally.proven:
                world.tally.proven.append(statement)


def _story_of(world: World, problem: str) -> int | None:
    """The story of the first order number that is named."""
    return next((world.told[word] for word in problem.replace(":", " ").split() if word in world.told), None)
