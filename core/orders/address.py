"""The delivery address of an order: one encrypted value, opened and masked by audience.

It is copied from the account's address book at placement, so a later change there never moves a parcel.
"""

from uuid import UUID

import msgspec

from core.identity.addresses import OrderAddress
from core.kit.crypto import Vault, mask_name, mask_phone
from core.types.scope import Audience

# A merchant reads the full address only while something is still to be delivered.
_DELIVERING = frozenset({"paid", "accepted", "shipped"})


# The address as the buyer's address book gives it.
Address = OrderAddress


def masked(address: Address) -> Address:
    """Enough to recognise the address, not enough to find the person."""
    recipient, phone = mask_name(address.recipient), mask_phone(address.phone)
    return Address(recipient, phone, address.province, address.city, address.district, "****")


def seal(vault: Vault, order_id: UUID, address: Address) -> bytes:
    """The value of `orders.address`; it opens for this order only."""
    return vault.seal(msgspec.json.encode(address).decode(), _context(order_id))


def unseal(vault: Vault, order_id: UUID, sealed: bytes) -> Address:
    """The address in `orders.address`. Raises `ValueError` when it was sealed for another order or key."""
    return msgspec.json.decode(vault.open(sealed, _context(order_id)), type=Address)


def shown(address: Address, audience: Audience, status: str) -> Address:
    """What `audience` may see of the address of an order in `status`.

    The buyer sees all of it, the merchant while delivery needs it, the market's staff never.
    """
    if audience is Audience.SHOP or (audience is Audience.MERCHANT and status in _DELIVERING):
        return address
    return masked(address)


def _context(order_id: UUID) -> str:
    return f"orders.address:{order_id}"
