"""Rows of the catalog as they are written, and the rules they obey. Pure."""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import UNSET, Struct

from core.catalog.schemas import SkuIn
from core.kit.errors import FieldError, Invalid
from core.kit.html import safe_image
from core.kit.ids import new_id
from core.kit.text import clean, normalise

MAX_SKUS = 100
MAX_IMAGES = 20


class ProductRow(Struct, frozen=True):
    """A product as it is stored."""

    id: UUID
    handle: str
    title: str
    description: str
    category_id: UUID | None
    shop_category_ids: Sequence[UUID]
    images: Sequence[str]
    spec_names: Sequence[str]
    vendor: str
    product_type: str
    tags: Sequence[str]
    extra: dict[str, Any]
    status: str

    @property
    def searchable(self) -> str:
        """What buyers find it by, in the form that search compares."""
        return normalise(" ".join((self.title, self.product_type, *self.tags)))


class SkuRow(Struct, frozen=True):
    """A SKU as it is stored; `specs` go with the product's `spec_names`."""

    id: UUID
    product_id: UUID
    code: str | None
    specs: Sequence[str]
    price: int
    list_price: int | None
    weight_g: int
    volume_cm3: int
    requires_shipping: bool
    tracked: bool
    barcode: str | None
    image_url: str | None
    extra: dict[str, Any]
    position: int
    min_quantity: int = 1
    max_quantity: int | None = None


def line(text: str) -> str:
    """Text on one line, without control characters."""
    return " ".join(clean(text).split())


def required_line(text: str, field: str) -> str:
    """As `line`; raises `Invalid` when nothing is left."""
    found = line(text)
    if not found:
        raise Invalid(f"{field} is empty.", FieldError(field, "required", "Write something."))
    return found


def distinct_lines(texts: Sequence[str]) -> list[str]:
    """Each text once, the empty ones left out."""
    return list(dict.fromkeys(found for text in texts if (found := line(text))))


def checked_images(urls: Sequence[str], field: str = "images") -> list[str]:
    """The images, each once. Raises `Invalid` naming each that is neither https nor under /static/."""
    bad = [n for n, url in enumerate(urls) if safe_image(url) is None]
    if bad:
        detail = "An image is an https:// address or begins with /static/."
        raise Invalid(detail, *(FieldError(f"{field}[{n}]", "bad_image", detail) for n in bad))
    return list(dict.fromkeys(urls))


def checked_names(names: Sequence[str]) -> list[str]:
    """The spec names on one line. Raises `Invalid` for an empty one and for two that are equal."""
    found = [line(name) for name in names]
    if not all(found) or len({name.casefold() for name in found}) < len(found):
        detail = "Spec names must be filled in and differ."
        raise Invalid(detail, FieldError("spec_names", "duplicate", detail))
    return found


def checked_specs(skus: Sequence[SkuIn], names: Sequence[str]) -> list[tuple[str, ...]]:
    """Each SKU's values in the order of `names`. Raises `Invalid` where they do not fit the names or repeat."""
    errors: list[FieldError] = []
    seen: dict[tuple[str, ...], int] = {}
    found: list[tuple[str, ...]] = []
    for n, sku in enumerate(skus):
        given = {line(name): line(value) for name, value in sku.specs.items()}
        values = tuple(given.get(name, "") for name in names)
        if set(given) != set(names) or not all(values):
            wanted = ", ".join(names) or "nothing"
            errors.append(
                FieldError(f"skus[{n}].specs", "specs_mismatch", f"Give a value for {wanted}, no more.")
            )
        first = seen.setdefault(tuple(value.casefold() for value in values), n)
        if first != n:
            errors.append(FieldError(f"skus[{n}].specs", "duplicate", f"skus[{first}] has the same specs."))
        found.append(values)
    if errors:
        raise Invalid("The SKUs do not fit the specs.", *errors)
    return found


def merged_sku(sku: SkuIn, specs: Sequence[str], product_id: UUID, position: int, old: Any | None) -> SkuRow:
    """A SKU as sent on top of its stored row `old`; a price to compare with that is not higher is dropped, because it
    would promise a saving that there is none of. Raises `Invalid` for its image and its quantities."""
    image = sku.image_url
    if image and safe_image(image) is None:
        detail = "An image is an https:// address or begins with /static/."
        raise Invalid(detail, FieldError(f"skus[{position}].image_url", "bad_image", detail))

    def kept(value: Any, column: str, default: Any) -> Any:
        return value if value is not None else old[column] if old is not None else default

    compare = kept(sku.list_price, "list_price", None)
    least = kept(sku.min_quantity, "min_quantity", 1)
    sent = sku.max_quantity
    most = sent if sent is not UNSET else kept(None, "max_quantity", None)
    if most is not None and most < least:
        detail = f"One purchase holds at least {least} of it, so max_quantity cannot be {most}."
        raise Invalid(detail, FieldError(f"skus[{position}].max_quantity", "range", detail))
    return SkuRow(
        id=old["id"] if old is not None else new_id(),
        product_id=product_id,
        code=_none(kept(sku.code, "code", None)),
        specs=specs,
        price=sku.price,
        list_price=compare if compare is not None and compare > sku.price else None,
        weight_g=kept(sku.weight_g, "weight_g", 0),
        volume_cm3=kept(sku.volume_cm3, "volume_cm3", 0),
        requires_shipping=kept(sku.requires_shipping, "requires_shipping", True),  # noqa: FBT003
        tracked=old["tracked"] if old is not None else True,
        barcode=_none(kept(sku.barcode, "barcode", None)),
        image_url=kept(image, "image_url", None) or None,
        extra=old["extra"] if old is not None else {},
        position=position,
        min_quantity=least,
        max_quantity=most,
    )


def _none(text: str | None) -> str | None:
    return (line(text) or None) if text is not None else None


def handle_of(title: str, product_id: UUID) -> str:
    """The product's name in addresses and files: Latin words of the title, or the id where there are none."""
    slug = "-".join(re.findall(r"[a-z0-9]+", normalise(title)))[:60].strip("-")
    return slug or f"p-{product_id.hex[-12:]}"
