"""What hooks are told about people."""

from uuid import UUID

import msgspec


class Merging(msgspec.Struct, frozen=True):
    """A guest's account becomes part of the account that signed in."""

    guest_id: UUID
    account_id: UUID
