"""Mainland numbers are kept in one form; others are refused."""

import pytest

from core.identity.phones import normal_phone


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("13812345678", "13812345678"),
        (" 138 1234 5678 ", "13812345678"),
        ("138-1234-5678", "13812345678"),
        ("+86 13812345678", "13812345678"),
        ("+86-138-1234-5678", "13812345678"),
        ("8613812345678", "13812345678"),
        ("１３８１２３４５６７８", "13812345678"),
        ("023-63801234", "023-63801234"),
        ("02363801234", "023-63801234"),
        ("0551-6380123", "0551-6380123"),
        ("010 63801234-1204", "010-63801234-1204"),
        ("+86 23 63801234", "023-63801234"),
    ],
)
def test_a_number_is_kept_in_one_form(typed: str, kept: str) -> None:
    assert normal_phone(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "-",
        "110",
        "12812345678",
        "1381234567",
        "138123456789",
        "138a2345678",
        "+1 2125551234",
        "02312345678x",
        "٠٢٣٦٣٨٠١٢٣٤",
        "0" * 24,
        "13812345678;",
        "23-1234567",
    ],
)
def test_other_numbers_are_refused(typed: str) -> None:
    assert normal_phone(typed) is None
