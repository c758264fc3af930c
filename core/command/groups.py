"""`jishi plugin`, `jishi matrix`, `jishi events`, `jishi ledger`."""

import sys
from typing import Annotated, Literal

from cyclopts import App, Parameter

from core.command.composed import with_runtime

plugin = App(name="plugin", help="Look at plugins and switch them on or off, live.")
ledger = App(name="ledger", help="Follow the money.")
matrix = App(name="matrix", help="Look at how kinds of offers combine and change it, live.")
events = App(name="events", help="Look at effects, timers and outside calls; try them again or drop them.")

Edits = Annotated[
    str,
    Parameter(
        help="JSON as `matrix show --edits` writes it; - is standard input.", allow_leading_hyphen=True
    ),
]


@plugin.command(name="list")
def plugin_list() -> None:
    """All installed plugins."""
    from core.command import plugins

    with_runtime(plugins.show)


@plugin.command
def enable(name: str) -> None:
    """Switch a plugin on, in running processes too."""
    from core.command import plugins

    with_runtime(lambda r: plugins.enable(r, name))


@plugin.command
def disable(name: str) -> None:
    """Switch a plugin off for new business, in running processes too."""
    from core.command import plugins

    with_runtime(lambda r: plugins.disable(r, name))


@plugin.command(name="config")
def configure(
    name: str,
    value: Annotated[str | None, Parameter(help="The new config as JSON; without it, show it.")] = None,
) -> None:
    """Show or change a plugin's config, in running processes too."""
    from core.command import plugins

    with_runtime(lambda r: plugins.configure(r, name, value))


@plugin.command
def quarantine(name: str, *, reason: str) -> None:
    """Let nothing of a plugin run any more, not even what it has begun, until it is released."""
    from core.command import plugins

    with_runtime(lambda r: plugins.quarantine(r, name, reason))


@plugin.command
def release(name: str) -> None:
    """Take a plugin out of quarantine, as it was before."""
    from core.command import plugins

    with_runtime(lambda r: plugins.release(r, name))


@plugin.command
def purge(name: str, *, yes: bool = False) -> None:
    """Remove the tables and rows of a plugin that is off, for good. Past orders keep what it took off."""
    from core.command import plugins

    if not yes:
        sys.exit(f"jishi: this removes everything that {name} has stored, for good; say --yes.")
    with_runtime(lambda r: plugins.purge(r, name))


@plugin.command(name="history")
def plugin_history() -> None:
    """Every change of plugins and matrix, newest first: who, when, what, and with what outcome."""
    from core.command import plugins

    with_runtime(plugins.history)


@plugin.command(name="undo")
def plugin_undo(generation: int | None = None) -> None:
    """Back to before the newest change; with GENERATION only if that is still the newest."""
    from core.command import plugins

    with_runtime(lambda r: plugins.undo(r, generation))


@matrix.command(name="show")
def matrix_show(*, edits: bool = False) -> None:
    """Kinds of offers by phase, and how pairs of them combine; with --edits only the edits, as JSON."""
    from core.command import matrix as command

    with_runtime(lambda r: command.show(r, edits=edits))


@matrix.command(name="history")
def matrix_history() -> None:
    """What was published, newest first."""
    from core.command import matrix as command

    with_runtime(command.history)


@matrix.command(name="check")
def matrix_check(file: Edits) -> None:
    """Say what contradicts in the edits in FILE."""
    from core.command import matrix as command

    with_runtime(lambda r: command.check(r, file))


@matrix.command(name="publish")
def matrix_publish(
    file: Edits,
    *,
    note: Annotated[str, Parameter(help="Why, for the history.")] = "",
    version: Annotated[int | None, Parameter(help="The newest version that was looked at.")] = None,
) -> None:
    """Make the edits in FILE count instead of all earlier ones, in running processes too."""
    from core.command import matrix as command

    with_runtime(lambda r: command.publish(r, file, note, version))


@matrix.command(name="restore")
def matrix_restore(version: int, *, note: str = "") -> None:
    """Publish the edits of an old version again; 0 is what the plugins declare."""
    from core.command import matrix as command

    with_runtime(lambda r: command.restore(r, version, note))


@ledger.command
def trace(order: str) -> None:
    """Every fen of an order (id or number), from payment to where it ended."""
    from core.command import money

    with_runtime(lambda r: money.trace(r, order))


@ledger.command
def check() -> None:
    """Check the ledger's invariants."""
    from core.command import money

    with_runtime(money.check)


@events.command(name="list")
def events_list(
    *,
    status: Literal["new", "sent", "failed", "parked", "dropped", "done"] | None = None,
    plugin: str | None = None,
    event: str | None = None,
    limit: int = 100,
) -> None:
    """Deliveries, the newest event first."""
    from core.command import events as command
    from core.events.schemas import Status

    wanted = Status(status) if status else None
    with_runtime(lambda r: command.show_list(r, wanted, plugin, event, limit))


@events.command(name="show")
def events_show(event_id: str) -> None:
    """One event, its payload and its deliveries."""
    from core.command import events as command

    with_runtime(lambda r: command.show(r, event_id))


@events.command(name="retry")
def events_retry(
    event_id: str | None = None,
    to: Annotated[str | None, Parameter(help="The plugin it is delivered to.")] = None,
    *,
    plugin: Annotated[str | None, Parameter(help="Without EVENT-ID: only this plugin's.")] = None,
    event: Annotated[str | None, Parameter(help="Without EVENT-ID: only this event.")] = None,
) -> None:
    """Try the delivery of EVENT-ID to a plugin at once; without EVENT-ID, everything that is parked."""
    from core.command import events as command

    if event_id is None:
        with_runtime(lambda r: command.retry_parked(r, plugin, event))
    elif to is None:
        sys.exit("jishi: say which plugin it is delivered to: jishi events retry EVENT-ID PLUGIN.")
    else:
        with_runtime(lambda r: command.retry(r, event_id, to))


@events.command(name="drop")
def events_drop(
    event_id: str, plugin: str, reason: Annotated[str, Parameter(help="Why, for the record.")]
) -> None:
    """Never deliver EVENT-ID to PLUGIN."""
    from core.command import events as command

    with_runtime(lambda r: command.drop(r, event_id, plugin, reason))


@events.command(name="summary")
def events_summary() -> None:
    """What waits, failed or is parked, by plugin and event."""
    from core.command import events as command

    with_runtime(command.summary)
