"""The commission on the wire."""

import msgspec


class Preview(msgspec.Struct, frozen=True):
    """What the present rate would take of goods for `goods_amount`; amounts in fen."""

    goods_amount: int
    commission: int
    rule: str
