"""Payment providers by key."""

from collections.abc import Mapping

from core.kit.errors import FieldError, Invalid, NotFound
from core.kit.settings import Env
from core.payment.provider import PaymentProvider
from core.payment.sandbox import SandboxProvider


def providers(env: Env) -> Mapping[str, PaymentProvider]:
    """The providers of this deployment."""
    return {"sandbox": SandboxProvider()} if env.settings.sandbox else {}


def chosen(env: Env, key: str) -> PaymentProvider:
    """The provider that a buyer asks for. Raises `Invalid`."""
    found = providers(env)
    if key not in found:
        known = ", ".join(sorted(found)) or "none"
        raise Invalid("No such payment provider.", FieldError("provider", "unknown", f"Available: {known}."))
    return found[key]


def existing(env: Env, key: str) -> PaymentProvider:
    """The provider with this key. Raises `NotFound`."""
    found = providers(env).get(key)
    if found is None:
        raise NotFound(f"No payment provider is called {key[:40]!r}.")
    return found
