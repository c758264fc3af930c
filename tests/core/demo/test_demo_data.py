import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from core.catalog.shopify import parse, render
from core.kit.geo import Point, distance_m

DEMO = Path(__file__).parents[3] / "core" / "demo"
MARKET: dict[str, Any] = json.loads((DEMO / "market.json").read_text(encoding="utf-8"))
LEAVES = {leaf for branch in MARKET["categories"] for leaf in branch["children"]}
MERCHANTS = pytest.mark.parametrize("merchant", MARKET["merchants"], ids=lambda merchant: merchant["slug"])


def test_the_market_is_six_shops_in_chongqing() -> None:
    slugs = [merchant["slug"] for merchant in MARKET["merchants"]]
    assert len(set(slugs)) == 6
    assert all(re.fullmatch(r"[a-z0-9-]{3,40}", slug) for slug in slugs)
    for merchant in MARKET["merchants"]:
        assert distance_m(Point(**merchant["location"]), Point(106.5516, 29.563)) < 10_000


def test_licences_cannot_be_taken_for_real_ones() -> None:
    for merchant in MARKET["merchants"]:
        assert "DEMO" in merchant["licence"]["number"]
        assert "演示" in merchant["licence"]["name"]


@MERCHANTS
def test_every_file_is_taken_whole(merchant: dict[str, Any]) -> None:
    data = (DEMO / merchant["products"]).read_bytes()
    catalog = parse(data)
    assert catalog.refused == ()
    assert 6 <= len(catalog.products) <= 12
    assert {product.product_type for product in catalog.products} <= LEAVES
    assert any(product.spec_names for product in catalog.products)
    codes = [sku.code for product in catalog.products for sku in product.skus]
    assert None not in codes
    assert len(set(codes)) == len(codes)
    assert render(catalog.products) == data


def test_every_category_has_products_and_handles_are_unique() -> None:
    products = [
        product
        for merchant in MARKET["merchants"]
        for product in parse((DEMO / merchant["products"]).read_bytes()).products
    ]
    assert {product.product_type for product in products} == LEAVES
    assert len({product.handle for product in products}) == len(products)


@MERCHANTS
def test_every_image_is_there_and_carries_no_script(merchant: dict[str, Any]) -> None:
    catalog = parse((DEMO / merchant["products"]).read_bytes())
    images = {image for product in catalog.products for image in product.images} | {merchant["logo"]}
    for image in images:
        root = ElementTree.parse(DEMO / "static" / image.removeprefix("/static/demo/")).getroot()
        assert {element.tag.split("}")[1] for element in root.iter()} <= {
            *("svg", "title", "g", "rect", "circle", "ellipse", "path")
        }
