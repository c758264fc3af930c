"""Row-level security from a table's class: forced, default deny.

Policies read only their own row and settings of the transaction. Comparisons stay leakproof (`=` on uuid and text), so
indexes keep working under them.
"""

from collections.abc import Iterator

from core.db.base import Access, Owner

APP_ROLE = "jishi_app"

_SCOPE = "(select current_setting('jishi.scope', true))"


def setting(name: str) -> str:
    """SQL for the uuid in the transaction's setting `jishi.<name>`, null when there is none."""
    return f"(select nullif(current_setting('jishi.{name}', true), '')::uuid)"


def statements(table: str, access: Access) -> Iterator[str]:
    """The SQL that protects `table` and grants the app's role what its class allows."""
    yield f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY'
    yield f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY'
    for name, command, condition in _policies(access):
        check = "" if command in ("SELECT",) else f" WITH CHECK ({condition})"
        using = "" if command == "INSERT" else f" USING ({condition})"
        yield f'CREATE POLICY "{name}" ON "{table}" FOR {command}{using}{check}'
    rights = "SELECT, INSERT" if access.append_only else "SELECT, INSERT, UPDATE, DELETE"
    yield f'GRANT {rights} ON "{table}" TO {APP_ROLE}'


def open_table(table: str) -> Iterator[str]:
    """A public copy without policies: readable by all, written by core's services only (`listing`)."""
    yield f'GRANT SELECT, INSERT, UPDATE, DELETE ON "{table}" TO {APP_ROLE}'


def _policies(access: Access) -> Iterator[tuple[str, str, str]]:
    yield "system", "ALL", f"{_SCOPE} = 'system'"
    if access.owner is Owner.MERCHANT:
        yield "own", "ALL", f"merchant_id = {setting('merchant_id')}"
    if access.owner is Owner.BUYER:
        yield "own", "ALL", f"account_id = {setting('account_id')}"
    if access.own is not None:
        yield "own", "ALL", access.own
    if access.public_read:
        yield "public", "SELECT", "true"
    else:
        yield "platform", "SELECT", f"{_SCOPE} = 'platform'"
    if access.buyer_read:
        yield "buyer", "SELECT", f"account_id = {setting('account_id')}"
    if access.platform_write:
        yield "operate", "ALL", f"{_SCOPE} = 'platform'"
    if access.insert_any:
        yield "add", "INSERT", "true"
