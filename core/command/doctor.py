"""`jishi doctor`."""

from collections.abc import Callable

import msgspec

from core.command import config
from core.command.config import ConfigError
from core.deployment.runtime import AWAY, Runtime
from core.doctor import machine
from core.doctor.examine import examine
from core.doctor.report import Finding, Report, Status, failing, report
from core.kit.settings import Env, Settings
from core.plugin import PluginError

_MARKS = {Status.OK: "ok      ", Status.WARNING: "warning ", Status.FAILING: "failing "}


async def doctor(settings: Settings, make_runtime: Callable[[Env], Runtime]) -> Report:
    """Look at everything, however little of it works."""
    secret = machine.secret_file(settings)
    if secret.status is Status.FAILING:
        # Opening the vault would make a new secret; without one nothing else can be told.
        return report([secret])
    try:
        runtime = make_runtime(config.make_env(settings))
    except (ConfigError, PluginError) as error:
        return report([failing("plugins", str(error), "Mend or remove the plugin that is named.")])
    unopened: list[Finding] = []
    try:
        try:
            await runtime.open()
        except AWAY:
            pass  # the check of the database says more
        except PluginError as error:
            unopened = [
                failing("plugins", str(error), "No process can start like this; disable what clashes.")
            ]
        found = await examine(runtime)
        return report([*unopened, *found.findings])
    finally:
        await runtime.close()


def as_text(found: Report) -> str:
    """A line for each finding; below those that are not well, how to mend them."""
    lines = []
    for finding in found.findings:
        lines.append(f"{_MARKS[finding.status]} {finding.check}: {finding.detail}")
        if finding.mend:
            lines.append(f"{'':9}-> {finding.mend}")
    bad = sum(f.status is not Status.OK for f in found.findings)
    lines.append("All is well." if not bad else f"{bad} of {len(found.findings)} findings need a look.")
    return "\n".join(lines)


def as_json(found: Report) -> str:
    """The report as JSON."""
    return msgspec.json.format(msgspec.json.encode(found)).decode()
