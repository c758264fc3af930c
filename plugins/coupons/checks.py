"""What is looked at before a template is issued: a mistake here would silently widen or void every coupon of it."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from core.api import MARKET_ID, FieldError, NotFound, Tx, parse_pair, parse_ref
from plugins.coupons import repository
from plugins.coupons.config import Config
from plugins.coupons.schemas import TemplateIn

# Scopes whose ids name a shop's own things.
_OWNED = frozenset({"products", "shop_categories"})
_FAR = timedelta(days=20 * 365)


def far_faults(now: datetime, **moments: datetime | None) -> Iterable[FieldError]:
    """The moments that are out of all reason, by their field."""
    for field, moment in moments.items():
        if moment is not None and not now - _FAR < moment < now + _FAR:
            yield FieldError(field.replace("valid_", "valid."), "range", "Must be within 20 years from now.")


def window_faults(now: datetime, opens: datetime | None, ends: datetime | None) -> Iterable[FieldError]:
    """What is wrong with a time for claiming."""
    yield from far_faults(now, claim_from=opens, claim_to=ends)
    if opens is not None and ends is not None and ends <= opens:
        yield FieldError("claim_to", "range", "Must be after claim_from.")


class TemplateChecks:
    """The faults of a template that `merchant_id` wants to issue."""

    def __init__(self, data: TemplateIn, merchant_id: UUID, config: Config, now: datetime) -> None:
        self.data, self.config, self.now = data, config, now
        self.merchant_id = merchant_id
        self.of_market = merchant_id == MARKET_ID

    def faults(self) -> Iterable[FieldError]:
        """Whatever can be seen without looking anything up."""
        yield from self._value()
        yield from self._scope()
        yield from self._valid()
        yield from window_faults(self.now, self.data.claim_from, self.data.claim_to)
        if self.data.claim_to is not None and self.data.claim_to <= self.now:
            yield FieldError("claim_to", "range", "Must be in the future.")
        if self.data.total > self.config.max_total:
            yield FieldError("total", "range", f"At most {self.config.max_total}.")
        if self.data.gift is not None and self.data.claim != "gift":
            yield FieldError("gift", "unexpected", "gift is for templates with claim gift.")

    async def unknown(self, tx: Tx) -> Sequence[FieldError]:
        """The ids that name nothing which this issuer may name; one statement for the scope, one for a gift's products."""
        scope, gift = self.data.scope, self.data.gift
        faults = []
        if scope.kind != "all":
            faults += await self._missing(tx, scope.kind, scope.ids, "scope.ids")
        if gift is not None and gift.product_ids:
            faults += await self._missing(tx, "products", gift.product_ids, "gift.product_ids")
        return faults

    def _value(self) -> Iterable[FieldError]:
        data = self.data
        wanted = {"amount": "amount", "rate": "rate_bp", "free_shipping": ""}[data.kind]
        for field in ("amount", "rate_bp"):
            given = getattr(data, field) is not None
            if field == wanted and not given:
                yield FieldError(field, "required", f"The kind {data.kind} needs it.")
            if field != wanted and given:
                yield FieldError(field, "unexpected", f"The kind {data.kind} takes none.")
        if data.kind == "amount" and data.cap is not None:
            yield FieldError("cap", "unexpected", "cap is for the kinds rate and free_shipping.")

    def _scope(self) -> Iterable[FieldError]:
        kind, ids = self.data.scope.kind, self.data.scope.ids
        if not self.of_market:
            if kind == "merchants":
                yield FieldError("scope.kind", "unsupported", "A shop's coupon holds in that shop only.")
            if self.data.merchant_share_bp is not None:
                yield FieldError("merchant_share_bp", "unexpected", "A shop bears its own coupons.")
        if (kind == "all") == bool(ids):
            yield FieldError("scope.ids", "mismatch", "Name ids for every scope but all, which takes none.")

    def _valid(self) -> Iterable[FieldError]:
        valid, now = self.data.valid, self.now
        yield from far_faults(now, valid_from=valid.from_, valid_to=valid.to)
        if valid.to is None and valid.days is None:
            yield FieldError("valid", "required", "Say until when: to, days, or both.")
        start = max(now + timedelta(days=valid.delay_days), valid.from_ or now)
        if valid.to is not None and valid.to <= start:
            yield FieldError("valid.to", "range", "Must be in the future, and after from and delay_days.")

    async def _missing(self, tx: Tx, kind: str, ids: Sequence[str], field: str) -> list[FieldError]:
        keys = [_key(text, owned=kind in _OWNED) for text in ids]
        shop = None if self.of_market else self.merchant_id
        wanted = [key[1] for key in keys if key is not None]
        known = await repository.known(tx, kind, shop, wanted) if wanted else set()
        detail = f"There is no such id among the {kind} of {'the market' if self.of_market else 'your shop'}."
        return [
            FieldError(f"{field}[{n}]", "unknown", detail) for n, key in enumerate(keys) if key not in known
        ]


def _key(text: str, *, owned: bool) -> tuple[UUID | None, UUID] | None:
    try:
        return parse_pair(text) if owned else (None, parse_ref(text))
    except NotFound:
        return None
