"""What a basket would come to under a draft of the stacking matrix. Reads only."""

from collections.abc import Iterator
from uuid import UUID

from msgspec.structs import replace

from core.cart import service as cart
from core.cart.schemas import QuoteRequest
from core.db.tx import Tx
from core.deployment import matrix
from core.deployment.runtime import Runtime
from core.deployment.schemas import Preview, PreviewIn, RuleChange
from core.identity.accounts import normal_login
from core.kit.errors import NotFound
from core.kit.ids import new_id, parse_ref
from core.pricing import service as pricing
from core.types.pricing import Basket, Explanation, Quote, Region

_ACCOUNT = """
select id from account where (id = $1 or login = $2) and status <> 'deleted' order by id <> coalesce($1, id) limit 1
"""


async def preview(tx: Tx, runtime: Runtime, data: PreviewIn) -> Preview:
    """The basket priced twice with the same rules: by the present matrix and by the draft. In the system scope.

    Raises `Invalid` `matrix_contradicts`, `NotFound` for an account or article that is not there.
    """
    matrix.refuse_faults(matrix.contradictions(runtime, data.edits, [tx.snapshot.edits]))
    account_id = await _account(tx, data.account) if data.account is not None else None
    request = QuoteRequest(lines=data.lines, shipping=data.shipping, options=data.options)
    # Nobody has an id that no row has.
    found = await cart.to_basket(tx, account_id or new_id(), request)
    loaded = await pricing.load(tx, _for(found.basket, account_id, data), found.problems)
    now = pricing.reckon(loaded, tx.snapshot.matrix)
    draft = pricing.reckon(loaded, tx.snapshot.combined(data.edits))
    return Preview(now, draft, draft.payable - now.payable, tuple(_changed(now, draft)))


def _for(basket: Basket, account_id: UUID | None, data: PreviewIn) -> Basket:
    """The basket as that account's, going to the region of the request rather than to the account's address."""
    region = basket.region
    if data.region is not None:
        given = data.region
        region = Region(given.province, given.city, given.district, given.location)
    return replace(basket, account_id=account_id, region=region)


async def _account(tx: Tx, name: str) -> UUID:
    """The account with this id or login. Raises `NotFound`."""
    try:
        account_id = parse_ref(name)
    except NotFound:
        account_id = None
    found: UUID | None = await tx.fetchval(_ACCOUNT, account_id, normal_login(name))
    if found is None:
        raise NotFound(f"There is no account {name!r}; give its id or its login.")
    return found


def _changed(now: Quote, draft: Quote) -> Iterator[RuleChange]:
    """The rules that fare differently, in the order of the draft's phases."""
    before = {_key(entry): entry for entry in now.explain}
    for after in draft.explain:
        was = before.get(_key(after))
        if was is not None and (was.outcome, was.amount) != (after.outcome, after.amount):
            yield RuleChange(
                plugin=after.plugin,
                rule=after.rule,
                kind=after.kind,
                label=after.label,
                before=was.outcome,
                after=after.outcome,
                amount_before=was.amount,
                amount_after=after.amount,
            )


def _key(entry: Explanation) -> tuple[str, str, str]:
    return entry.plugin, entry.rule, entry.kind
