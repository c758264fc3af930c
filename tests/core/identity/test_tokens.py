"""Access tokens are checked without a database and never raise."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.identity import tokens
from core.kit.crypto import Vault
from core.kit.ids import new_id
from core.types.scope import Audience, Principal

VAULT = Vault(b"0123456789abcdef" * 2)
NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
CLERK = Principal(new_id(), new_id(), Audience.MERCHANT, new_id(), ("clerk", "finance"))
BUYER = Principal(new_id(), new_id(), Audience.SHOP)


@pytest.mark.parametrize("principal", [CLERK, BUYER])
def test_a_token_gives_back_whom_it_was_issued_for(principal: Principal) -> None:
    assert tokens.read(VAULT, tokens.issue(VAULT, principal, LATER), NOW) == principal


def test_a_token_ends_at_its_expiry() -> None:
    token = tokens.issue(VAULT, BUYER, LATER)
    assert tokens.read(VAULT, token, LATER - timedelta(seconds=1)) == BUYER
    assert tokens.read(VAULT, token, LATER) is None


def test_a_token_of_another_secret_is_refused() -> None:
    assert tokens.read(VAULT, tokens.issue(Vault(b"x" * 32), BUYER, LATER), NOW) is None


def test_claims_under_the_signature_of_another_token_are_refused() -> None:
    mine, other = (tokens.issue(VAULT, p, LATER).split(".") for p in (BUYER, CLERK))
    assert tokens.read(VAULT, f"{other[0]}.{mine[1]}", NOW) is None


def test_what_the_vault_signed_for_another_purpose_is_no_token() -> None:
    body = tokens.issue(VAULT, BUYER, LATER).split(".")[0]
    signature = tokens.urlsafe_b64encode(VAULT.sign(body.encode())).rstrip(b"=").decode()
    assert tokens.read(VAULT, f"{body}.{signature}", NOW) is None


@given(st.text(max_size=80))
def test_rubbish_is_no_token_and_raises_nothing(text: str) -> None:
    assert tokens.read(VAULT, text, NOW) is None
    assert tokens.session_of(text) is None or len(text) >= 22


@given(st.binary(max_size=60))
def test_signed_rubbish_is_no_token_and_raises_nothing(claims: bytes) -> None:
    body = tokens.urlsafe_b64encode(claims).rstrip(b"=")
    signature = tokens.urlsafe_b64encode(VAULT.sign(b"access." + body)).rstrip(b"=")
    assert tokens.read(VAULT, (body + b"." + signature).decode(), NOW) is None


@given(st.data())
def test_a_changed_claim_is_refused(data: st.DataObject) -> None:
    token = tokens.issue(VAULT, CLERK, LATER)
    at = data.draw(st.integers(0, token.index(".") - 1))
    other = data.draw(st.characters(codec="ascii", exclude_characters=token[at]))
    assert tokens.read(VAULT, token[:at] + other + token[at + 1 :], NOW) is None


def test_refresh_tokens_name_their_session_and_differ() -> None:
    session = new_id()
    one, two = tokens.new_refresh(session), tokens.new_refresh(session)
    assert one != two
    assert tokens.session_of(one) == tokens.session_of(two) == session
    assert tokens.refresh_hash(one) != tokens.refresh_hash(two)
