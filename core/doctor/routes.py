"""`/api/platform/doctor`."""

from litestar import get

from core.deployment.runtime import Runtime
from core.doctor.examine import examine
from core.doctor.report import Report
from core.types.routing import permission


@get("/doctor", opt=permission("doctor.read"))
async def see_doctor(runtime: Runtime) -> Report:
    """Looks at the whole deployment, as `jishi doctor` does: 200 with `status` ok, warning or failing, and each finding
    with how to mend it. Takes some time on a large market."""
    return await examine(runtime)


platform_routes = [see_doctor]
