"""The sandbox's file: SQLite with a write-ahead log. A transaction that was committed survives the end of the process."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_VERSION = 1
_SCHEMA = """
create table account (name text primary key, behaviour text not null) strict;
create table nonce (account text not null, nonce text not null, at integer not null, primary key (account, nonce)) strict;
create index ix_nonce on nonce (at);
create table payment (
  account text not null, id text not null, provider_ref text not null, amount integer not null check (amount >= 0),
  description text not null, notify_url text not null,
  status text not null check (status in ('open', 'paid', 'closed', 'refunded')),
  created_at integer not null, expires_at integer not null, paid_at integer,
  primary key (account, id)) strict;
create index ix_payment on payment (account, created_at desc);
create table leg (
  account text not null, payment_id text not null, merchant_id text not null, gateway_ref text not null,
  amount integer not null check (amount >= 0),
  refunded integer not null default 0 check (refunded between 0 and amount),
  subsidised integer not null default 0 check (subsidised >= 0),
  shared integer not null default 0 check (shared >= 0),
  finished integer not null default 0,
  primary key (account, payment_id, merchant_id)) strict;
-- What the market asked for, under the ids that it gave. `asks`: how often it is still answered that work goes on.
create table operation (
  account text not null, kind text not null, id text not null, payment_id text, merchant_id text not null,
  amount integer not null check (amount >= 0), advance integer not null default 0 check (advance >= 0),
  terms text not null, status text not null check (status in ('done', 'returned')),
  asks integer not null default 0, at integer not null,
  primary key (account, kind, id)) strict;
create index ix_operation on operation (account, at);
create index ix_operation_kind on operation (account, kind, at desc);
create table entry (
  seq integer primary key, account text not null, kind text not null, id text not null,
  debit text not null, credit text not null, amount integer not null check (amount > 0), at integer not null) strict;
create index ix_entry on entry (account, kind, id);
create table balance (
  account text not null, name text not null, amount integer not null check (amount >= 0 or name in ('funds', 'buyers')),
  primary key (account, name)) strict;
create table notification (
  account text not null, id text not null, payment_id text not null, url text not null, body blob not null,
  attempts integer not null default 0, lost integer not null default 0, due_at integer not null,
  created_at integer not null, done_at integer,
  primary key (account, id)) strict;
create index ix_notification_due on notification (due_at) where done_at is null;
create index ix_notification_payment on notification (account, payment_id);
"""
_SAFE = {"normal": "normal", "off": "off"}


class Store:
    """One connection to the file. All of its use is in transactions, one at a time."""

    def __init__(self, path: Path, *, synchronous: str = "normal") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        self._db.row_factory = sqlite3.Row
        self._db.execute("pragma journal_mode = wal")
        self._db.execute(f"pragma synchronous = {_SAFE[synchronous]}")
        self._db.execute("pragma busy_timeout = 5000")
        with self.transaction():
            if self.value("pragma user_version") == 0:
                for statement in _SCHEMA.split(";\n"):
                    if statement.strip():
                        self._db.execute(statement)
                self._db.execute(f"pragma user_version = {_VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, safe against a killed process once the block has ended. One inside of another is part of it."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    def run(self, sql: str, *args: Any) -> int:
        """A statement; how many rows it changed."""
        with self._lock:
            return self._db.execute(sql, args).rowcount

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """A statement for each row."""
        with self._lock:
            self._db.executemany(sql, rows)

    def row(self, sql: str, *args: Any) -> sqlite3.Row | None:
        """The first row."""
        with self._lock:
            found: sqlite3.Row | None = self._db.execute(sql, args).fetchone()
            return found

    def rows(self, sql: str, *args: Any) -> list[sqlite3.Row]:
        """All rows."""
        with self._lock:
            return self._db.execute(sql, args).fetchall()

    def value(self, sql: str, *args: Any) -> Any:
        """The first column of the first row, or None."""
        found = self.row(sql, *args)
        return None if found is None else found[0]

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._db.close()
