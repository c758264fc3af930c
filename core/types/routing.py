"""What a route tells the edge about itself, as Litestar's `opt=`. The edge (`core.web`) acts on it.

Without any of these a route under `/api/<audience>/` needs a token of that audience, runs in that audience's scope,
and its transaction is committed when the answer is a success.
"""

from typing import Any

# No token needed; a valid one is still understood.
PUBLIC: dict[str, Any] = {"public": True}
# Guests may come in too: accounts that nobody has signed in to yet. All other routes ask them to sign in, and public ones
# take them for strangers.
GUEST: dict[str, Any] = {"guest": True}
# A public page that is the same for everybody: one read without a transaction, whoever looks.
BROWSE: dict[str, Any] = {"public": True, "scope": "anonymous"}
# Touches several parties: runs in the system scope; the service checks whose rows it touches.
SYSTEM: dict[str, Any] = {"scope": "system"}
# Calls outside services: the route's own transaction opens only after its first statement, and the
# idempotency key is looked up beforehand instead of being locked.
OUTSIDE: dict[str, Any] = {"outside": True}
# The Idempotency-Key header must be there.
KEYED: dict[str, Any] = {"keyed": True}


def permission(name: str) -> dict[str, Any]:
    """Staff need this permission."""
    return {"permission": name}


def limit(calls: int, seconds: int, *, by: str = "account") -> dict[str, Any]:
    """At most `calls` in `seconds` per `by` (`account`, or `address` of the client)."""
    return {"limit": (calls, seconds, by)}
