"""A guest signs in: all that is in the guest's book goes to the account's, once, with a line in both journals."""

from uuid import UUID

from core.api import MARKET_ID, Merging, Tx, hold
from plugins.membership import books
from plugins.membership.books import Book, Entry
from plugins.membership.terms import Bought, join
from plugins.membership.using import PLUGIN

# Also for a guest that has nothing: what comes to it later, or is under way, finds the account by this.
_NOTHING_YET = """
insert into membership_account (account_id, created_at, merged_into) values ($1, $3, $2)
on conflict (account_id) do nothing returning account_id
"""


async def merge(tx: Tx, merging: Merging) -> None:
    """Points with when they end, debt, growth, time of levels, and what orders used and brought. The account's debt is paid
    by the guest's points, and its points pay the guest's debt. One statement for a guest that had nothing. In the system
    scope."""
    guest_id, account_id = merging.guest_id, merging.account_id
    if await tx.fetchval(_NOTHING_YET, guest_id, account_id, tx.now) is not None:
        return
    found = await books.whole(tx, guest_id, account_id)
    if found is None:
        return
    guest, account = found
    _points(guest, account)
    _growth(guest, account)
    _levels(tx, guest, account)
    account.orders |= guest.orders
    guest.orders = {}
    await books.write(tx, [guest, account])
    await books.merged(tx, guest_id, account_id)
    if account.entries or account.orders:
        await hold(tx, account_id, PLUGIN, None)


def _points(guest: Book, account: Book) -> None:
    net, debt = guest.purse.net, guest.purse.debt
    parts = guest.purse.empty()
    for ends, points in parts:
        account.purse.add(points, ends)
    account.purse.take(debt)
    if net:
        guest.note(Entry(MARKET_ID, "points", -net, "merged", _to(account)))
        last = max([ends for ends, _ in parts], default=None)
        account.note(Entry(MARKET_ID, "points", net, "merged", _from(guest), expires_at=last))


def _growth(guest: Book, account: Book) -> None:
    for shop, growth in list(guest.growth.items()):
        account.growth.setdefault(shop, 0)
        guest.grow(Entry(shop, "growth", -growth, "merged", f"{_to(account)}:growth:{shop}"))
        account.grow(Entry(shop, "growth", growth, "merged", f"{_from(guest)}:growth:{shop}"))


def _levels(tx: Tx, guest: Book, account: Book) -> None:
    bought = [line for order in guest.orders.values() for line in order.bought]
    for level_id, term in guest.terms.items():
        joined = account.terms[level_id] = join(account.terms.get(level_id), term, tx.now)
        lines = [line for line in bought if line.level_id == level_id]
        for line in lines:
            if line.since == term.since and term.until > tx.now:
                line.since = joined.since
        _months(guest, account, level_id, lines)


def _months(guest: Book, account: Book, level_id: UUID, lines: list[Bought]) -> None:
    months = sum(line.months * line.pieces for line in lines)
    if months == 0:
        return
    until, issuer = account.terms[level_id].until, lines[0].merchant_id
    for book, amount, cause in ((guest, -months, _to(account)), (account, months, _from(guest))):
        ends = until if amount > 0 else None
        book.note(
            Entry(
                issuer,
                "level",
                amount,
                "merged",
                f"{cause}:level:{level_id}",
                expires_at=ends,
                level_id=level_id,
            )
        )


def _to(account: Book) -> str:
    return f"merged:{account.account_id}"


def _from(guest: Book) -> str:
    return f"merged:{guest.account_id}"
