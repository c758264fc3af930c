"""Accounts: how one comes to be. A login is 3 to 64 of a-z, 0-9 and `._@+-`, starting with a letter or digit;
upper case is taken as lower case.
"""

import re
from uuid import UUID, uuid4

from core.db.tx import Tx
from core.identity import passwords, repository
from core.kit.errors import Conflict, FieldError, Invalid
from core.kit.ids import new_id
from core.kit.text import clean

MAX_NICKNAME = 40
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{2,63}", re.ASCII)


def normal_login(login: str) -> str | None:
    """The login as it is kept, None when nobody can have it."""
    lowered = login.strip().lower()
    return lowered if _LOGIN.fullmatch(lowered) else None


async def create_account(tx: Tx, login: str, password: str, nickname: str) -> UUID:
    """A new account, in the system scope; its id. Raises `Invalid`, and `Conflict` `login_taken`.

    The password is hashed before the first statement, so that no connection is held meanwhile.
    """
    name = clean(nickname).strip()
    kept = _check(login, password, name)
    hashed = await passwords.hash_password(password)
    account_id = new_id()
    # The pseudonym under which behaviour is recorded must not tell when the account was made: not a UUIDv7.
    if not await repository.add_account(tx, account_id, kept, hashed, name, uuid4()):
        raise Conflict("This login is taken; choose another.", code="login_taken")
    return account_id


def _check(login: str, password: str, nickname: str) -> str:
    errors = []
    kept = normal_login(login)
    if kept is None:
        rule = "Use 3 to 64 of a-z, 0-9 and . _ @ + -, starting with a letter or digit."
        errors.append(FieldError("login", "pattern", rule))
    if not passwords.MIN_LENGTH <= len(password) <= passwords.MAX_LENGTH:
        errors.append(FieldError("password", "length", "Use 8 to 128 characters."))
    if not 1 <= len(nickname) <= MAX_NICKNAME:
        errors.append(FieldError("nickname", "length", f"Use 1 to {MAX_NICKNAME} characters."))
    if errors or kept is None:
        raise Invalid("The account cannot be made from this.", *errors)
    return kept
