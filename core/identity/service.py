"""Signing in and out.

The password is checked between two transactions, never inside one: hashing must not hold a connection.
"""

from datetime import timedelta
from uuid import UUID

import msgspec
from msgspec import UNSET
from redis.asyncio import Redis

from core import hookspecs
from core.db.tx import Tx, TxFactory
from core.identity import guests, passwords, repository, tokens
from core.identity.accounts import create_account, normal_login
from core.identity.attempts import Attempts
from core.identity.schemas import (
    AccountView,
    AudienceView,
    MerchantChoice,
    Refresh,
    Registration,
    SignIn,
    Tokens,
)
from core.kit.errors import BadRequest, Conflict, FieldError, Forbidden, Invalid, NotFound, Unauthorized
from core.kit.ids import MARKET_ID, new_id, ref
from core.types.events import AccountEvent
from core.types.scope import SYSTEM, Audience, Principal


class _Post(msgspec.Struct, frozen=True):
    """A place where an account works."""

    merchant_id: UUID
    roles: tuple[str, ...]
    merchant_name: str


class _Account(msgspec.Struct, frozen=True):
    """An account and where it works."""

    id: UUID
    nickname: str
    active: bool
    guest: bool
    posts: tuple[_Post, ...]


async def sign_in(new_tx: TxFactory, redis: Redis, data: SignIn) -> Tokens:
    """A new session for a login and its password; what a guest had comes along.

    Raises `BadRequest` `unknown_provider`, `Unauthorized` `wrong_credentials` (also for an unknown login),
    `TooManyRequests`, `Forbidden` `audience_not_allowed` or `account_blocked`, `Conflict` `choose_merchant`.
    """
    if data.provider != "password":
        raise BadRequest(f"There is no login provider {data.provider!r}.", code="unknown_provider")
    _need_credentials(data)
    account_id = await _check_password(new_tx, redis, data.login, data.password)
    async with new_tx(SYSTEM) as tx:
        account = await _load(tx, account_id, lock=True)
        if account is None or not account.active:
            raise Forbidden("This account is blocked; ask the market's operator.", code="account_blocked")
        principal = _principal(account, data.audience, data.merchant_id)
        return await _open(tx, account, principal, data.guest_token)


async def register(new_tx: TxFactory, data: Registration) -> Tokens:
    """A new buyer, signed in; what a guest had comes along.

    Raises `Forbidden` `registration_closed`, `Conflict` `login_taken`.
    """
    async with new_tx(SYSTEM) as tx:
        if not tx.env.settings.registration:
            raise Forbidden("This market takes no new accounts just now.", code="registration_closed")
        account_id = await create_account(tx, data.login, data.password, data.nickname)
        tx.emit(hookspecs.account_registered, AccountEvent(account_id))
        account = await _load(tx, account_id)
        assert account is not None
        principal = _principal(account, Audience.SHOP, None)
        return await _open(tx, account, principal, data.guest_token)


async def open_guest(new_tx: TxFactory) -> Tokens:
    """A new guest, who can fill a cart and ask for quotes until signing in."""
    async with new_tx(SYSTEM) as tx:
        account = _Account(await guests.create(tx), guests.NICKNAME, True, True, ())  # noqa: FBT003
        return await _open(tx, account, _principal(account, Audience.SHOP, None))


async def refresh(new_tx: TxFactory, data: Refresh) -> Tokens:
    """New tokens for a refresh token, which is then used up. One that was used up before ends its session.

    Raises `Unauthorized` `refresh_refused`.
    """
    async with new_tx(SYSTEM) as tx:
        answer = await _rotate(tx, data.refresh_token)
    # Raised only now: the end of a session whose token was copied must be committed.
    if answer is None:
        raise Unauthorized("This refresh token is not valid; sign in again.", code="refresh_refused")
    return answer


async def sign_out(tx: Tx, me: Principal) -> None:
    """End the session of the token."""
    await repository.end_session(tx, me.session_id)


async def me(tx: Tx, principal: Principal) -> AccountView:
    """The signed-in account. In the system scope: it lists the shops where the account works."""
    account = await _load(tx, principal.account_id)
    if account is None:
        raise NotFound("This account is gone.")
    return _view(account)


def _need_credentials(data: SignIn) -> None:
    missing = [n for n in ("login", "password") if not getattr(data, n)]
    if missing:
        raise Invalid("Give login and password.", *(FieldError(n, "required", f"Give {n}.") for n in missing))


async def _check_password(new_tx: TxFactory, redis: Redis, given: str, password: str) -> UUID:
    login = normal_login(given)
    tx = new_tx(SYSTEM)
    attempts = Attempts(redis, tx.env, login or given)
    await attempts.count()
    async with tx:
        found = await repository.credentials(tx, login) if login else None
    right = await passwords.verify_password(found["password_hash"] if found else None, password)
    if found is None or not right:
        raise Unauthorized("Login or password is wrong.", code="wrong_credentials")
    await attempts.clear()
    account_id: UUID = found["id"]
    return account_id


async def _load(tx: Tx, account_id: UUID, *, lock: bool = False) -> _Account | None:
    rows = await repository.account(tx, account_id, lock=lock)
    if not rows:
        return None
    posts = tuple(
        _Post(r["merchant_id"], tuple(r["roles"]), r["merchant_name"] or "") for r in rows if r["merchant_id"]
    )
    first = rows[0]
    return _Account(account_id, first["nickname"], first["status"] == "active", first["guest"], posts)


def _principal(account: _Account, audience: Audience, merchant_ref: str | None) -> Principal:
    """A fresh session's principal. Raises `Forbidden` or `Conflict` when the account may not have it."""
    if audience is Audience.SHOP:
        return Principal(account.id, new_id(), audience, guest=account.guest)
    if audience is Audience.PLATFORM:
        posts = [p for p in account.posts if p.merchant_id == MARKET_ID]
    else:
        shops = [p for p in account.posts if p.merchant_id != MARKET_ID]
        posts = [p for p in shops if merchant_ref is None or ref(p.merchant_id) == merchant_ref]
    if not posts:
        raise Forbidden(f"This account has no {audience.value} role there.", code="audience_not_allowed")
    if len(posts) > 1:
        choice = [MerchantChoice(ref(p.merchant_id), p.merchant_name) for p in posts]
        raise Conflict(
            "This account works for several shops: send merchant_id.",
            code="choose_merchant",
            merchants=choice,
        )
    return Principal(account.id, new_id(), audience, posts[0].merchant_id, posts[0].roles)


async def _open(tx: Tx, account: _Account, principal: Principal, guest_token: str | None = None) -> Tokens:
    merged = await guests.merge(tx, principal, guest_token) if guest_token is not None else UNSET
    token = tokens.new_refresh(principal.session_id)
    until = tx.now + timedelta(seconds=tx.env.settings.refresh_token_ttl)
    await repository.open_session(tx, principal, tokens.refresh_hash(token), until)
    return msgspec.structs.replace(_tokens(tx, account, principal, token), cart_merged=merged)


async def _rotate(tx: Tx, old: str) -> Tokens | None:
    session_id = tokens.session_of(old)
    if session_id is None:
        return None
    new = tokens.new_refresh(session_id)
    kept = tokens.refresh_hash(old)
    until = tx.now + timedelta(seconds=tx.env.settings.refresh_token_ttl)
    row = await repository.rotate(tx, session_id, kept, tokens.refresh_hash(new), until)
    if row is None:
        await repository.end_reused(tx, session_id, kept)
        return None
    account = await _load(tx, row["account_id"])
    if account is None or not account.active:
        await repository.end_session(tx, session_id)
        return None
    audience = Audience(row["audience"])
    principal = Principal(
        account.id, session_id, audience, row["merchant_id"], tuple(row["roles"]), account.guest
    )
    return _tokens(tx, account, principal, new)


def _tokens(tx: Tx, account: _Account, principal: Principal, refresh_token: str) -> Tokens:
    ttl = tx.env.settings.access_token_ttl
    access = tokens.issue(tx.env.vault, principal, tx.now + timedelta(seconds=ttl))
    return Tokens(access, ttl, refresh_token, _view(account))


def _view(account: _Account) -> AccountView:
    audiences = [AudienceView(Audience.SHOP, [])]
    for post in account.posts:
        if post.merchant_id == MARKET_ID:
            audiences.append(AudienceView(Audience.PLATFORM, list(post.roles)))
        else:
            shop = ref(post.merchant_id)
            audiences.append(AudienceView(Audience.MERCHANT, list(post.roles), shop, post.merchant_name))
    return AccountView(ref(account.id), account.nickname, audiences, account.guest)
