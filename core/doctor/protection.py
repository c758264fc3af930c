"""Who may see and do what, as the database really has it: row-level security, its policies, the app's role."""

import re
from collections.abc import Iterator, Mapping

import asyncpg
import msgspec
import sqlalchemy as sa

from core.db import policies
from core.db.base import Access
from core.deployment.runtime import Runtime
from core.doctor.report import Finding, failing, listed, ok, warning
from core.models import METADATA
from core.types.scope import SYSTEM

_TABLES = """
select c.relname as name, c.relrowsecurity as enabled, c.relforcerowsecurity as forced,
  coalesce((select jsonb_object_agg(p.polname, jsonb_build_array(p.polcmd::text, p.polpermissive,
      p.polroles = '{0}', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)))
    from pg_policy p where p.polrelid = c.oid), '{}')::text as policies
from pg_class c where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
"""
_ROLE = """
select current_user::text as name, session_user::text as login, r.rolsuper, r.rolbypassrls,
  (select s.rolsuper from pg_roles s where s.rolname = session_user) as login_super,
  (select array_agg(c.relname::text order by c.relname) from pg_class c
    where c.relowner = r.oid and c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')) as owned
from pg_roles r where r.rolname = current_user
"""
_RIGHTS = """
select name, has_table_privilege(current_user, quote_ident(name), 'update') as change,
  has_table_privilege(current_user, quote_ident(name), 'delete') as remove,
  has_table_privilege(current_user, quote_ident(name), 'truncate') as empty,
  has_table_privilege(current_user, quote_ident(name), 'select') and
  has_table_privilege(current_user, quote_ident(name), 'insert') as work
from unnest($1::text[]) name where to_regclass(quote_ident(name)) is not null
"""
_COMMANDS = {"ALL": "*", "SELECT": "r", "INSERT": "a", "UPDATE": "w", "DELETE": "d"}
_POLICY = re.compile(
    r'CREATE POLICY "(?P<name>\w+)" ON "\w+" FOR (?P<command>\w+)(?: USING \((?P<using>.*?)\))?'
    r"(?: WITH CHECK \((?P<check>.*)\))?",
    re.DOTALL,
)
_MEND = "Run `jishi migrate`; if it is still so, somebody changed it by hand: {sql}"

# Command, permissive, for all roles, condition to see, condition to write.
Policy = tuple[str, bool, bool, str, str]


def declared(runtime: Runtime) -> dict[str, sa.Table]:
    """All tables of core and of the plugins whose tables exist."""
    known = [c.metadata for n, c in runtime.classes.items() if n in runtime.snapshot.installed]
    return {t.name: t for m in [METADATA, *(m for m in known if m is not None)] for t in m.tables.values()}


def _protected(tables: Mapping[str, sa.Table]) -> Iterator[tuple[str, Access]]:
    return ((n, t.info["access"]) for n, t in tables.items() if not t.info.get("open"))


async def row_security(runtime: Runtime) -> list[Finding]:
    """Every table that declares a class has it enabled and forced, with exactly the class's policies."""
    async with runtime.tx(SYSTEM) as tx:
        rows = {r["name"]: r for r in await tx.fetch(_TABLES)}
    tables = declared(runtime)
    findings = []
    for name, access in _protected(tables):
        fault = _fault(rows.get(name), name, access)
        if fault is not None:
            findings.append(fault)
    unknown = [
        n for n, r in rows.items() if n not in tables and not n.startswith("alembic_") and not r["enabled"]
    ]
    if unknown:
        mend = "Fine if they belong to a plugin that is not installed here; otherwise enable it or drop them."
        findings.append(
            warning("row security", f"Nobody declares {listed(unknown)}, and no row security is on.", mend)
        )
    return findings or [
        ok("row security", f"On, forced and as declared on {len(dict(_protected(tables)))} tables.")
    ]


def _fault(row: asyncpg.Record | None, name: str, access: Access) -> Finding | None:
    if row is None:
        return failing("row security", f"The table {name} is not there.", "jishi migrate")
    if not row["enabled"] or not row["forced"]:
        what = "on" if not row["enabled"] else "forced"
        sql = f'alter table "{name}" enable row level security, force row level security'
        return failing("row security", f"Row security of {name} is not {what}.", _MEND.format(sql=sql))
    found, wanted = _found(row["policies"]), _wanted(name, access)
    wrong = sorted(p for p in found.keys() | wanted.keys() if found.get(p) != wanted.get(p))
    if not wrong:
        return None
    sql = "; ".join(s for s in policies.statements(name, access) if any(f'POLICY "{p}"' in s for p in wrong))
    text = f"Policies of {name} are not as declared: {listed(wrong)}."
    return failing(
        "row security", text, _MEND.format(sql=f"drop what is wrong; {sql}" if sql else "drop them")
    )


def _found(raw: str) -> dict[str, Policy]:
    rows = msgspec.json.decode(raw, type=dict[str, tuple[str, bool, bool, str | None, str | None]])
    return {n: (c, p, a, plain(u), plain(w)) for n, (c, p, a, u, w) in rows.items()}


def _wanted(name: str, access: Access) -> dict[str, Policy]:
    found: dict[str, Policy] = {}
    for statement in policies.statements(name, access):
        match = _POLICY.fullmatch(statement)
        if match is not None:
            command = _COMMANDS[match["command"]]
            found[match["name"]] = (command, True, True, plain(match["using"]), plain(match["check"]))
    return found


def plain(expression: str | None) -> str:
    """A condition without what PostgreSQL adds when it shows one: casts, names of columns, brackets, blanks."""
    text = re.sub(r"::[a-z]+( with time zone)?(\[\])?", "", (expression or "").lower())
    text = re.sub(r"\bas \"?\w+\"?", "", text)
    return re.sub(r"[\s()\"]", "", text)


async def roles(runtime: Runtime) -> list[Finding]:
    """The app's role owns nothing and passes no policy."""
    async with runtime.tx(SYSTEM) as tx:
        role = await tx.fetchrow(_ROLE)
    assert role is not None
    name, faults = role["name"], []
    if role["rolsuper"]:
        mend = f"alter role {name} nosuperuser, and point JISHI_APP_DATABASE_URL at jishi_app"
        faults.append(failing("roles", f"The app works as the superuser {name}; no policy binds it.", mend))
    if role["rolbypassrls"]:
        faults.append(
            failing("roles", f"The role {name} bypasses row security.", f"alter role {name} nobypassrls")
        )
    if role["owned"]:
        text = f"The app's role {name} owns {listed(role['owned'])} and may switch their protection off."
        mend = "Point JISHI_APP_DATABASE_URL at jishi_app, or: alter table ... owner to <the owner>"
        faults.append(failing("roles", text, mend))
    if role["login_super"] and not role["rolsuper"]:
        text = f"The app signs in as the superuser {role['login']} and only takes the role {name}."
        faults.append(warning("roles", text, "Give JISHI_APP_DATABASE_URL a login that is no superuser."))
    return faults or [ok("roles", f"{name} owns no table and passes no policy.")]


async def append_only(runtime: Runtime) -> list[Finding]:
    """Journals can only be added to; all other tables can be worked with."""
    tables = dict(_protected(declared(runtime)))
    async with runtime.tx(SYSTEM) as tx:
        rows = await tx.fetch(_RIGHTS, list(tables))
    open_ = [
        r["name"]
        for r in rows
        if tables[r["name"]].append_only and (r["change"] or r["remove"] or r["empty"])
    ]
    shut = [r["name"] for r in rows if not r["work"]]
    findings = []
    if open_:
        sql = f"revoke update, delete, truncate on {', '.join(open_)} from {policies.APP_ROLE}"
        text = f"The app may change or empty {listed(open_)}, which may only be added to."
        findings.append(failing("append-only", text, sql))
    if shut:
        sql = f"grant select, insert on {', '.join(shut)} to {policies.APP_ROLE}"
        findings.append(failing("append-only", f"The app may not read and add to {listed(shut)}.", sql))
    count = sum(a.append_only for a in tables.values())
    return findings or [ok("append-only", f"{count} journals can only be added to.")]
