"""What a run says in the end."""

import resource
from collections import Counter

from rich.console import Console
from rich.table import Table

from tests.stress.run import Options
from tests.stress.tally import Tally

_console = Console(highlight=False, soft_wrap=True)


def show(tally: Tally, options: Options) -> int:
    """Print the summary; the exit code."""
    table = Table(title="stress", title_justify="left", show_header=False)
    for name, counter in (
        ("Stories", tally.stories),
        ("Orders", tally.orders),
        ("Cases", tally.cases),
        ("Refunds", tally.refunds),
        ("Kills", tally.kills),
        ("Requests", tally.requests),
        ("Asked again", tally.repeats),
        ("Refusals", tally.refusals),
    ):
        table.add_row(name, f"{counter.total():,}", _words(counter))
    table.add_row(
        "Time", f"{tally.seconds:.0f} s", f"{tally.stories.total() / max(tally.seconds, 1):.1f} purchases/s"
    )
    own, theirs = (
        sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    table.add_row(
        "CPU", f"{own + theirs:.0f} s", f"{theirs:.0f} s the market with its servers, {own:.0f} s the stories"
    )
    _console.print(table)
    _console.print(f"  came across: {', '.join(f'{n:,} {what}' for what, n in tally.reached.items())}")
    broken = {rule.removeprefix("not so: ") for rule in tally.sorts}
    for statement in tally.proven:
        if statement not in broken:
            _console.print(f"  proven: {statement}")
    for statement in tally.untried:
        _console.print(f"  not doubted, for want of anything to damage: {statement}")
    if not tally.findings:
        _console.print("Nothing was found.")
        return 0
    for rule, n in tally.sorts.most_common():
        _console.print(f"FOUND {n} x {rule}", markup=False)
    for finding in tally.findings:
        _console.print(f"  {finding}", markup=False)
    _console.print(
        f"Again: make stress SEED={options.seed} PURCHASES={options.purchases} KILLS={options.kills}",
        markup=False,
    )
    return 1


def _words(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counter.most_common(14))
