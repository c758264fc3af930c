"""Write the pages of docs/ that come from the code: hooks, settings, permissions, errors.

.venv/bin/python docs/build.py            write them
.venv/bin/python docs/build.py --check    exit 1 when one is stale
"""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from core import hookspecs
from core.hooks import Kind
from core.identity import permissions
from core.kit import errors
from core.kit.settings import Settings
from core.plugin import NoConfig, Plugin, discover
from core.pricing import words

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOTE = "<!-- Written by docs/build.py from the code; change the code and run `make docs`. -->\n"

KINDS = {
    Kind.LOAD: "Load: async, reads only; a whole batch in, a list out.",
    Kind.GUARD: "Guard: async, inside the transaction of the one who calls; may write.",
    Kind.EFFECT: "Effect: async, after the commit, in a worker and a transaction of its own; delivered at least once.",
}

HOOKS_INTRO = """
A plugin implements a hook with a method of the same name, the same arguments with the same annotations, and the marker
`@hookimpl` from `core.api`. Everything is checked at start: an unknown hook, a forgotten marker, a wrong argument or
colour is reported with the plugin's name. Order is the plugins' names; there is no `tryfirst`.

A guard with veto refuses by raising a business error of `core.api` (`Conflict`, `Invalid`); the whole transaction is
then undone. A hook that winds down is also called for plugins that are switched off, so that begun business ends well.

A hook that asks who had a part in the order is called for the plugins that had one, switched off or not: a rule of theirs
was applied when the trade was placed, somebody earns on the order by them, or they planned parcels of it. What a quarantined
one of them would have been told waits for it, and only orders that it is asked about are held for it. A plugin that gives
something with orders later, in an effect for instance, or wants to hear of all orders for another reason, says so with
`@hookimpl(every_order=True)`; that costs each order the plugin's statements, and for `order_paying` and `refund_settling`
two more.

[purchase.md](purchase.md) shows all of them in the order of one purchase.
"""

ERRORS_INTRO = """
Errors are `application/problem+json` (RFC 9457): `type`, `title`, `status`, `code`, `detail`, and `errors` (`field`,
`code`, `detail`) for bad fields. Rely on `code`; titles and details are for people, and `...` stands for a value. 500
`internal` is a fault of ours.
"""

ERRORS = {n: c for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, errors.JishiError)}

# What each setting means; times are in seconds.
SETTINGS = {
    "data": "Folder for what this machine keeps: embedded servers, the secret, logs.",
    "host": "Address to listen on.",
    "port": "Port to listen on.",
    "web_processes": "How many web processes `run` starts.",
    "worker_threads": "How many tasks one worker process works on at a time.",
    "database_url": "PostgreSQL as the owner of the tables, `postgresql+asyncpg://user:password@host:5432/database`. "
    "Empty: an embedded server.",
    "app_database_url": "The same database as the role that owns nothing and is bound by row-level security. Empty: the "
    "owner's URL with `role=jishi_app`.",
    "redis_url": "Redis or Valkey, `redis://host:6379/0`. Empty: an embedded server.",
    "secret_file": "File with at least 64 hex digits from which all keys are derived. Empty: `secret` in the data folder, "
    "made at the first start. Losing it loses the personal data.",
    "public_url": "How the market is reached from outside, `https://market.example`. Empty: host and port.",
    "plugins": "Plugins that the first start switches on, separated by commas or blanks; afterwards the database decides. "
    "Unset: all that are installed.",
    "pins": "Plugins that this deployment holds on or off whatever the operator does: a table `[pins]` of `name = true` "
    "or `false` in `jishi.toml`.",
    "pool_size": "Database connections of each process.",
    "sandbox": "Whether the sandbox payment service is there. Never in production.",
    "sandbox_url": "Where the sandbox payment service answers. Empty: `jishi run` starts one of its own.",
    "sandbox_port": "Port of the sandbox payment service that `jishi run` starts, on 127.0.0.1; 0 is any that is free.",
    "sandbox_account": "The name of this market at the sandbox payment service; several markets may share one.",
    "demo": "Whether the first start loads the demo market, whose passwords are public.",
    "registration": "Whether buyers may register by themselves.",
    "currency": "ISO 4217 code of the one currency of the market; amounts are in its minor unit.",
    "unpaid_ttl": "After this long an unpaid trade is closed.",
    "unpaid_trades_per_account": "How many unpaid trades an account may have at a time.",
    "auto_receive": "After this long a shipped order counts as received.",
    "auto_service": "An order with codes that nobody redeemed is completed this long after all was ready.",
    "aftersales_window": "How long after completion refunds can be asked for; then the order's money is released.",
    "aftersales_answer": "How long a shop may leave an after-sales case unanswered before it has agreed, and a buyer may "
    "ask the market after a refusal.",
    "aftersales_return": "How long the buyer has to send goods back.",
    "aftersales_inspect": "How long the shop has to look at what came back, or to ship the replacement.",
    "waybill_changes": "How long after shipping a waybill may be changed, three times at most.",
    "payout_every": "How often merchants are paid what they are owed.",
    "access_token_ttl": "How long an access token is good for.",
    "refresh_token_ttl": "How long a refresh token is good for.",
    "rate_limits": "Whether calls are limited per account and address.",
    "worker_metrics": "`host:port` where a worker serves `/metrics` and `/healthz`. Empty: nowhere.",
    "access_log": "Whether each API request leaves one line in the log: request id, audience, route, status, time, "
    "statements.",
    "otlp": "Endpoint for OpenTelemetry traces by OTLP over HTTP, `http://collector:4318`. Needs the extra `otel`. Empty: "
    "off.",
}


class Code(NamedTuple):
    """A stable code found in the source: on which page section, what it says, and the file."""

    sort: str
    code: str
    status: int
    detail: str
    place: str


def hooks_page(classes: Mapping[str, type[Plugin]]) -> str:
    """The hook reference, in the order of the flow."""
    parts = [NOTE, "# Hooks\n", HOOKS_INTRO.lstrip("\n")]
    for name, spec in hook_specs().items():
        parts += _hook(name, spec, "##", classes)
    parts.append(
        "## Events of plugins\n\nDeclared in `Plugin.events`; anybody subscribes by the name, as to core's own.\n"
    )
    for owner in classes.values():
        for name, spec in owner.events.items():
            parts += _hook(name, spec, "###", classes, owner.name)
    return "\n".join(parts)


def _hook(
    name: str, spec: Any, level: str, classes: Mapping[str, type[Plugin]], owner: str = ""
) -> Iterator[str]:
    yield f"{level} {name}\n\n```python\nasync def {name}{_signature(spec)}\n```\n"
    yield (f"Of `{owner}`. " if owner else "") + KINDS[spec.jishi_kind] + _manner(spec) + "\n"
    yield (inspect.getdoc(spec) or "") + "\n"
    payload = list(inspect.signature(spec, eval_str=True).parameters.values())[-1].annotation
    yield f"`{payload.__name__}`: {_fields(payload)}.\n"
    users = [f"`{c.name}`{_wanted(vars(c)[name])}" for c in classes.values() if name in vars(c)]
    yield f"Built-in plugins that use it: {', '.join(users) or 'none yet'}.\n"


def _wanted(implementation: Callable[..., Any]) -> str:
    return " (of every order)" if hasattr(implementation, "jishi_every_order") else ""


def hook_specs() -> dict[str, Any]:
    """All hooks by name, in the order of core/hookspecs.py."""
    return {n: f for n, f in vars(hookspecs).items() if getattr(f, "jishi_kind", None)}


def _signature(spec: Callable[..., Any]) -> str:
    found = inspect.signature(spec, eval_str=True)
    arguments = ", ".join(f"{p.name}: {p.annotation.__name__}" for p in found.parameters.values())
    answer = found.return_annotation
    shown = "None" if answer is None else re.sub(r"\b[a-z_]+(?:\.[a-z_]+)*\.", "", str(answer))
    return f"({arguments}) -> {shown}"


def _manner(spec: Any) -> str:
    veto = " With veto." if spec.jishi_veto else " Without veto." if spec.jishi_kind is Kind.GUARD else ""
    winds_down = " Winds down." if spec.jishi_winds_down else ""
    return veto + winds_down + (" Asks who had a part in the order." if spec.jishi_contributors else "")


def _fields(struct: Any) -> str:
    return ", ".join(f"`{field.name}`" for field in msgspec.structs.fields(struct))


def settings_page(classes: Mapping[str, type[Plugin]]) -> str:
    """Settings of the deployment, then those of each plugin."""
    rows = []
    for field in msgspec.structs.fields(Settings):
        name = "only in `jishi.toml`" if field.name == "pins" else f"`JISHI_{field.name.upper()}`"
        rows.append(f"| `{field.name}` | {name} | {_default(field)} | {SETTINGS[field.name]} |")
    intro = """
Settings come from `jishi.toml` in the working directory and from the environment, which wins. Times are in seconds. On
embedded servers `sandbox` and `demo` are on and `aftersales_window` is 10 unless they are set. `JISHI_LOG=json` writes
the log as JSON lines.

| setting | environment | default | what |
|---|---|---|---|"""
    parts = [NOTE, "# Settings\n", intro.lstrip("\n"), *rows, "\n## Plugins\n"]
    parts.append(
        "Kept in the database: `jishi plugin config NAME` shows them, `jishi plugin config NAME JSON` and\n"
        "`PUT /api/platform/plugins/{name}/config` change them while the market runs.\n"
    )
    for cls in classes.values():
        if cls.Config is not NoConfig:
            parts.append(f"### {cls.name}\n\n{inspect.getdoc(cls.Config)}\n")
            parts.append("| field | default | what |\n|---|---|---|")
            remarks = _remarks(cls.Config)
            parts += [
                f"| `{f.name}` | {_default(f)} | {remarks.get(f.name, '')} |"
                for f in msgspec.structs.fields(cls.Config)
            ] + [""]
    return "\n".join(parts).rstrip("\n") + "\n"


def _default(field: Any) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    elif field.default is msgspec.NODEFAULT:
        return "required"
    else:
        value = field.default
    return f"`{msgspec.json.encode(value).decode()}`" if value not in ("", None) else "unset"


def _remarks(config: type[Any]) -> dict[str, str]:
    """What is said of the fields of a plugin's config: by `Meta(description=...)`, or in a comment right above."""
    schema = next(iter(msgspec.json.schema_components([config])[1].values()))
    found = {name: f["description"] for name, f in schema["properties"].items() if "description" in f}
    comment: list[str] = []
    for line in inspect.getsource(config).splitlines():
        text = line.strip()
        if text.startswith("#"):
            comment.append(text.lstrip("# "))
            continue
        match = re.match(r"(\w+):", text)
        if match and comment:
            found[match[1]] = " ".join(comment).replace("|", "\\|")
        comment = []
    return found


def permissions_page(classes: Mapping[str, type[Plugin]]) -> str:
    """What staff may be allowed, by audience."""
    parts = [NOTE, "# Permissions\n"]
    full = " and ".join(f"`{r}`" for r in sorted(permissions.FULL, reverse=True))
    parts.append(f"The roles {full} may do everything in their audience; other roles what is listed here.\n")
    everything = [("core", p) for p in permissions.CORE]
    everything += [(c.name, p) for c in classes.values() for p in c.permissions]
    for audience, roles in permissions.ROLE_NAMES.items():
        parts.append(f"## {audience.value}\n\nRoles: {', '.join(f'`{r}`' for r in roles)}.\n")
        parts.append("| permission | of | allows | roles |\n|---|---|---|---|")
        for owner, permission in everything:
            if permission.audience == audience.value:
                granted = ", ".join(f"`{r}`" for r in permission.roles)
                parts.append(f"| `{permission.name}` | {owner} | {permission.title} | {granted} |")
        parts.append("")
    return "\n".join(parts).rstrip("\n") + "\n"


def errors_page(classes: Mapping[str, type[Plugin]]) -> str:  # noqa: ARG001 - all pages are made alike
    """Every stable code that an answer may carry."""
    parts = [NOTE, "# Errors\n", ERRORS_INTRO.lstrip("\n")]
    parts.append("## By default\n\n| code | status | title |\n|---|---|---|")
    parts += [f"| `{cls.default_code}` | {cls.status} | {cls.title} |" for cls in ERRORS.values()]
    found = list(codes())
    for sort, title, columns in (
        ("error", "Refusals", ("code", "status", "detail", "from")),
        ("field", "Bad fields", ("code", "detail", "from")),
        ("quote", "Problems and reasons in a quote", ("code", "detail", "from")),
    ):
        parts.append(f"\n## {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        same: dict[str, list[Code]] = {}
        for code in (c for c in found if c.sort == sort):
            same.setdefault(code.code, []).append(code)
        parts += [_row(name, same[name]) for name in sorted(same)]
    return "\n".join(parts) + "\n"


def _row(name: str, uses: list[Code]) -> str:
    statuses = [", ".join(sorted({str(u.status) for u in uses}))] if uses[0].sort == "error" else []
    detail = next((u.detail for u in uses if u.detail), "")
    return (
        "| " + " | ".join([f"`{name}`", *statuses, detail, ", ".join(sorted({u.place for u in uses}))]) + " |"
    )


STATUS = {
    n: c.status for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, errors.JishiError)
}


def codes() -> Iterator[Code]:
    """Codes written out in core and plugins: core's reasons, then in the order of files."""
    for name, (english, _) in words.WORDS.items():
        yield Code("quote", words.say(name).code, 0, _with_gaps(english), "core/pricing")
    for path in sorted([*ROOT.glob("core/**/*.py"), *ROOT.glob("plugins/**/*.py")]):
        place = "/".join(path.relative_to(ROOT).parts[:2]).removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield from _refusals(node, place)
                found = _code(node, place)
                if found is not None:
                    yield found


def _refusals(call: ast.Call, place: str) -> Iterator[Code]:
    """The codes of a plugin's `Refusals`, which are literals."""
    if not (isinstance(call.func, ast.Name) and call.func.id == "Refusals"):
        return
    known: dict[str, str] = next((ast.literal_eval(k.value) for k in call.keywords if k.arg == "codes"), {})
    for name, (english, _) in ast.literal_eval(call.args[0]).items():
        yield Code("quote", known.get(name, name), 0, _with_gaps(english), place)


def _with_gaps(sentence: str) -> str:
    return re.sub(r"\{[^}]*\}", "...", sentence)


def _code(call: ast.Call, place: str) -> Code | None:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    keyword = next((_text(k.value) for k in call.keywords if k.arg == "code"), "")
    arguments = [_text(a) for a in call.args]
    if name in ERRORS and keyword:
        return Code("error", keyword, ERRORS[name].status, next(iter(arguments), ""), place)
    if name in ("FieldError", "Fault") and len(arguments) > 1 and arguments[1]:
        return Code("field", arguments[1], 422, next(iter(arguments[2:]), ""), place)
    if name in ("Refused", "Problem") and arguments and arguments[0] and not place.endswith("/ledger"):
        return Code("quote", arguments[0], 0, next(iter(arguments[1:]), ""), place)
    return None


def _text(node: ast.expr) -> str:
    """A string literal, with ... where an f-string puts a value; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("|", "\\|").replace("\n", " ")
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(v) if isinstance(v, ast.Constant) else "..." for v in node.values)
    return ""


PAGES = {
    "hooks.md": hooks_page,
    "settings.md": settings_page,
    "permissions.md": permissions_page,
    "errors.md": errors_page,
}


def builtins() -> dict[str, type[Plugin]]:
    """The plugins of this repository; others that are installed do not belong on its pages."""
    return {n: c for n, c in sorted(discover().items()) if c.__module__.startswith("plugins.")}


def stale() -> dict[Path, str]:
    """Pages whose file differs from the code, with what they should be."""
    classes = builtins()
    pages = {DOCS / name: make(classes) for name, make in PAGES.items()}
    return {path: text for path, text in pages.items() if not path.exists() or path.read_text() != text}


def main(arguments: list[str]) -> int:
    """Exit code."""
    found = stale()
    if "--check" in arguments:
        for path in found:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale; run make docs.\n")
        return 1 if found else 0
    for path, text in found.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
