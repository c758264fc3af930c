"""Guests: accounts that nobody has signed in to yet, so that a cart can be filled before.

A guest's account has a login that nobody can type and a password that nobody has; its token is admitted only where a route
says `GUEST`. When the guest signs in, `account_merging` lets core and every plugin move what the guest had. The account is
then marked as deleted, its sessions end, and housekeeping removes it later: a request of the guest may still be under way.
"""

from uuid import UUID, uuid4

import structlog

from core import hookspecs
from core.db.tx import Tx
from core.identity import repository, tokens
from core.kit.ids import new_id, ref
from core.types.identity import Merging
from core.types.scope import Audience, Principal

NICKNAME = "游客"
# Not a hash, so no password fits it.
_UNUSABLE = "!"

_log = structlog.get_logger(__name__)


async def create(tx: Tx) -> UUID:
    """A new guest's account, in the system scope; its id."""
    account_id = new_id()
    # No login of `accounts.normal_login` has a colon. The pseudonym must not tell when the account was made.
    login = f"guest:{ref(account_id)}"
    await repository.add_account(tx, account_id, login, _UNUSABLE, NICKNAME, uuid4(), guest=True)
    return account_id


async def merge(tx: Tx, principal: Principal, guest_token: str) -> bool:
    """Make what the guest behind `guest_token` had part of the buyer's account; False when there is nothing to merge.

    In the transaction that signs in, in the system scope. A token that is wrong, has expired or was merged before is no
    reason not to sign in, and neither is a plugin that fails: the guest then stays as it was, to be merged another time.
    """
    guest = tokens.read(tx.env.vault, guest_token, tx.now)
    if guest is None or not guest.guest or principal.audience is not Audience.SHOP:
        return False
    merging = Merging(guest.account_id, principal.account_id)
    # Sign-ins of several guests to one account queue up here, and so do several with one guest.
    if not await repository.lock_merging(tx, merging, guest.session_id):
        return False
    try:
        async with tx.savepoint("merging"):
            for _, guard in tx.hooks.of(hookspecs.account_merging):
                await guard(tx, merging)
            await repository.end_guest(tx, merging.guest_id)
    except Exception:  # a plugin's fault must not keep anybody from signing in
        if tx.lost:
            raise
        _log.exception("merging_failed", guest=ref(merging.guest_id))
        return False
    return True
