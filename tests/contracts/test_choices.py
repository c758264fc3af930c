"""What buyers ask tools for in `options`: a choice that says something else is refused, not passed over."""

from typing import Any

import pytest

from core.testkit import Market


@pytest.mark.parametrize(
    ("plugin", "misspelt"),
    [
        ("coupons", {"id": []}),
        ("flash_sale", {"activity_id": "x", "tokens": "x"}),
        ("group_buy", {"activity_id": "x", "group": "x"}),
        ("membership", {"point": 5}),
    ],
)
async def test_a_misspelt_choice_is_refused_by_name(
    market: Market, plugin: str, misspelt: dict[str, Any]
) -> None:
    article = await market.product(await market.merchant("shop"))
    answer = await (await market.buyer()).quote((article.ref, 1), options={plugin: misspelt})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == f"options.{plugin}"
