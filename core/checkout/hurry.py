"""What plugins claim of a trade that is placed, and trades that have to be paid sooner than usual because of it."""

from msgspec.structs import replace

from core import hookspecs
from core.checkout.draft import Draft
from core.db.tx import Tx

_SOONER = "update trade set expires_at = $3 where account_id = $1 and id = $2"


async def claim(tx: Tx, draft: Draft) -> Draft:
    """Have the plugins whose rules were applied claim what the orders use; the rows of the trade are written. The answer is
    the draft with the earliest time that one of them names, if that is sooner than the trade would close anyway."""
    placement = draft.placement
    contributors = placement.quote.contributors
    guards = [guard for plugin, guard in tx.hooks.of(hookspecs.order_placing) if plugin in contributors]
    answers = [await guard(tx, placement) for guard in guards]
    until = min([answer for answer in answers if answer is not None], default=draft.expires_at)
    if until >= draft.expires_at:
        return draft
    await tx.execute(_SOONER, placement.account_id, placement.trade_id, until)
    return replace(draft, expires_at=until)
