"""In whose name a transaction runs. Row-level security reads these settings (see `core.db.policies`)."""

from enum import StrEnum
from uuid import UUID

import msgspec

from core.kit.ids import MARKET_ID


class Audience(StrEnum):
    """Who a token is for; one API branch each."""

    SHOP = "shop"
    MERCHANT = "merchant"
    PLATFORM = "platform"


class Principal(msgspec.Struct, frozen=True):
    """The signed-in account behind a request.

    `merchant_id` is the shop's, or the market's for platform staff. `guest`: nobody has signed in yet; such an account is
    admitted only where a route says `GUEST`."""

    account_id: UUID
    session_id: UUID
    audience: Audience
    merchant_id: UUID | None = None
    roles: tuple[str, ...] = ()
    guest: bool = False


class Scope(msgspec.Struct, frozen=True):
    """`anonymous` sees what is public, `buyer` its own rows, `merchant` its shop's, `platform` reads all and
    writes the market's, `system` is for work that touches several parties, with ids read from the database.

    `actor_id` is the signed-in account, whatever the scope.
    With a `session_id` the transaction refuses to open once that session is revoked.
    """

    kind: str
    account_id: UUID | None = None
    merchant_id: UUID | None = None
    session_id: UUID | None = None
    actor_id: UUID | None = None

    def settings(self) -> str:
        """SQL that sets this scope inside a transaction; values are validated UUIDs, so nothing can be injected."""
        parts = [f"SET LOCAL jishi.scope='{self.kind}'"]
        if self.kind in ("buyer", "system"):
            # The flow's statements are written so that one plan suits all values. Left to itself, PostgreSQL plans those
            # with arrays (quote, placing) anew each time, which costs more than running them. Searches and consoles, whose
            # best plan does depend on the values, run in other scopes.
            parts.append("SET LOCAL plan_cache_mode='force_generic_plan'")
        # The system scope carries no owner: it must name the rows it touches itself.
        if self.kind == "buyer" and self.account_id is not None:
            parts.append(f"SET LOCAL jishi.account_id='{self.account_id}'")
        if self.kind in ("merchant", "platform") and self.merchant_id is not None:
            parts.append(f"SET LOCAL jishi.merchant_id='{self.merchant_id}'")
        if self.actor_id is not None:
            parts.append(f"SET LOCAL jishi.actor_id='{self.actor_id}'")
        if self.session_id is not None:
            parts.append(f"SET LOCAL jishi.session_id='{self.session_id}'")
            parts.append("SELECT jishi_session_check()")
        return ";".join(parts)

    def encode(self) -> str:
        """Text form stored on an event: `system`, `merchant:<uuid>`, `buyer:<uuid>`, `platform`."""
        owner = self.account_id if self.kind == "buyer" else self.merchant_id
        return f"{self.kind}:{owner}" if self.kind in ("buyer", "merchant") else self.kind

    @classmethod
    def decode(cls, text: str) -> "Scope":
        """The scope stored on an event."""
        kind, _, owner = text.partition(":")
        if kind == "buyer":
            return buyer(UUID(owner))
        if kind == "merchant":
            return merchant(UUID(owner))
        return PLATFORM if kind == "platform" else SYSTEM


ANONYMOUS = Scope("anonymous")
SYSTEM = Scope("system")
PLATFORM = Scope("platform", merchant_id=MARKET_ID)


def buyer(account_id: UUID) -> Scope:
    """The scope of one buyer."""
    return Scope("buyer", account_id=account_id)


def merchant(merchant_id: UUID) -> Scope:
    """The scope of one merchant's staff."""
    return Scope("merchant", merchant_id=merchant_id)


def of(principal: Principal | None) -> Scope:
    """The scope a request runs in unless its route asks for another."""
    if principal is None:
        return ANONYMOUS
    kind = "buyer" if principal.audience is Audience.SHOP else principal.audience.value
    return Scope(
        kind, principal.account_id, principal.merchant_id, principal.session_id, principal.account_id
    )


def system_for(principal: Principal | None) -> Scope:
    """System scope that still refuses a revoked session."""
    return (
        SYSTEM
        if principal is None
        else Scope("system", session_id=principal.session_id, actor_id=principal.account_id)
    )
