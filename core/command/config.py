"""Settings from `jishi.toml` and the environment; the environment wins. Names are `JISHI_` and the setting in capitals."""

import os
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from core.kit.crypto import Vault
from core.kit.settings import Env, Settings

RESOLVED = "JISHI_RESOLVED"
_SECRET = "secret"  # noqa: S105 -- a file name


class ConfigError(Exception):
    """The deployment cannot start like this; the message is one sentence that says what to do."""


def load(
    environ: Mapping[str, str] = os.environ, folder: Path | None = None
) -> tuple[Settings, frozenset[str]]:
    """The settings, and the names of those that were given. A child of `jishi run` gets them resolved by its parent.
    Raises `ConfigError`."""
    if RESOLVED in environ:
        return msgspec.json.decode(environ[RESOLVED], type=Settings), frozenset()
    found = _from_file((folder or Path.cwd()) / "jishi.toml")
    for field in msgspec.structs.fields(Settings):
        text = environ.get(f"JISHI_{field.name.upper()}")
        if text is not None and field.name != "pins":
            found[field.name] = (
                [p for p in text.replace(",", " ").split() if p] if field.name == "plugins" else text
            )
    try:
        settings = msgspec.convert(found, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"A setting is wrong: {error}. See docs/settings.md.") from None
    urls = {name: _database(getattr(settings, name)) for name in ("database_url", "app_database_url")}
    return resolve(settings, **urls), frozenset(found)


def _database(url: str) -> str:
    """The URL as the driver wants it; other ways to write a PostgreSQL URL are understood. Raises `ConfigError`."""
    scheme, found, rest = url.partition("://")
    if not url or (found and scheme == "postgresql+asyncpg"):
        return url
    if found and scheme in ("postgresql", "postgres"):
        return f"postgresql+asyncpg://{rest}"
    raise ConfigError(
        "JISHI_DATABASE_URL is of the form postgresql+asyncpg://user:password@host:5432/database; no other database will do."
    )


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, OSError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None


def resolve(settings: Settings, **changes: Any) -> Settings:
    """The same settings with what was found out at start."""
    return msgspec.structs.replace(settings, **changes)


def base_url(settings: Settings) -> str:
    """Where this deployment is reached."""
    return settings.public_url or f"http://{settings.host}:{settings.port}"


def open_vault(settings: Settings) -> Vault:
    """The vault of this deployment. The secret is made at the first start, readable by its owner only; losing it loses
    the personal data. Raises `ConfigError`."""
    path = Path(settings.secret_file) if settings.secret_file else Path(settings.data) / _SECRET
    try:
        if not path.exists() and not settings.secret_file:
            _create(path)
        return Vault(bytes.fromhex(path.read_text().strip()))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The secret file {path} cannot be used ({error}); it holds at least 64 hex digits, "
            "e.g. of: openssl rand -hex 32."
        ) from None


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def make_env(settings: Settings) -> Env:
    """Settings and vault; the app's database URL is the owner's in the role of the app unless it is given."""
    if not settings.app_database_url and settings.database_url:
        joiner = "&" if "?" in settings.database_url else "?"
        settings = resolve(settings, app_database_url=f"{settings.database_url}{joiner}role=jishi_app")
    return Env(settings, open_vault(settings))
