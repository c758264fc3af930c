"""A database of its own for a test."""

from sqlalchemy.engine import make_url


def plain(url: str) -> str:
    """A SQLAlchemy URL as plain asyncpg wants it."""
    return url.replace("+asyncpg", "")


def on(url: str, database: str) -> str:
    """The same server, another database."""
    return make_url(url).set(database=database).render_as_string(hide_password=False)


class Database:
    """Addresses of one database and of Redis."""

    def __init__(self, owner_url: str, app_url: str, redis_url: str) -> None:
        self.owner_url, self.app_url, self.redis_url = owner_url, app_url, redis_url

    @property
    def owner_dsn(self) -> str:
        """For plain asyncpg, as the owner."""
        return plain(self.owner_url)

    @property
    def app_dsn(self) -> str:
        """For plain asyncpg, as the role that owns nothing."""
        return plain(self.app_url)
