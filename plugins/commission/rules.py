"""The commission on an order. Pure; amounts in fen."""

import msgspec

from core.api import CommissionBase, CommissionTerms, rate


class FlatRate(msgspec.Struct, frozen=True):
    """The same share of every order's goods, after discounts the merchant bears, freight off."""

    rate_bp: int

    def commission(self, base: CommissionBase) -> CommissionTerms:
        """The fee, half a fen rounded up, and the rule with its rate, which the order keeps."""
        return CommissionTerms(rate(base.goods_amount, self.rate_bp), f"flat {self.rate_bp} bp")
