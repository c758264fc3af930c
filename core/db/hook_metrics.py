"""The meters of hooks (`core.kit.meters`) as Prometheus metrics of whichever process: web or worker. Timers and cycles are
among them as `timer:<name>`."""

from collections.abc import Iterator

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from core.kit import meters

_LABELS = ("hook", "plugin")


class HookCollector(Collector):
    """Reads the meters when it is asked."""

    def collect(self) -> Iterator[Metric]:
        """Time, statements, errors and loads over budget by hook and plugin."""
        seconds = SummaryMetricFamily(
            "jishi_hook_seconds", "Calls of hooks and the time they took", labels=_LABELS
        )
        statements = CounterMetricFamily(
            "jishi_hook_statements",
            "SQL statements of hooks on the transaction they were given",
            labels=_LABELS,
        )
        errors = CounterMetricFamily(
            "jishi_hook_errors",
            "Calls of hooks that raised: refused is a business error, failed any other",
            labels=(*_LABELS, "kind"),
        )
        over = CounterMetricFamily(
            "jishi_hook_over_budget",
            "Loads that took more than one statement or a tenth of a second",
            labels=_LABELS,
        )
        for m in meters.meters():
            at = (m.hook, m.plugin)
            seconds.add_metric(at, count_value=m.calls, sum_value=m.seconds)
            statements.add_metric(at, m.statements)
            over.add_metric(at, m.over)
            errors.add_metric((*at, "refused"), m.refused)
            errors.add_metric((*at, "failed"), m.failed)
        yield from (seconds, statements, errors, over)

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand: it is registered before there are plugins."""
        return iter(())


_COLLECTOR = HookCollector()


def register() -> None:
    """Serve hooks from the process's registry. Harmless to repeat."""
    if _COLLECTOR not in REGISTRY._collector_to_names:  # noqa: SLF001 -- there is no public question
        REGISTRY.register(_COLLECTOR)
