"""What is on this machine: settings, the secret file, the data folder."""

import asyncio
import shutil
import stat
from pathlib import Path
from urllib.parse import urlsplit

from core.deployment.runtime import Runtime
from core.doctor.report import Finding, failing, listed, ok, warning
from core.kit.settings import Settings

_GIB = 1 << 30
_LOCAL = ("localhost", "127.0.0.1", "::1", "test")


async def settings(runtime: Runtime) -> list[Finding]:
    """Settings that are for trying out, on a market that the public reaches."""
    mine = runtime.env.settings
    host = urlsplit(mine.public_url).hostname or ""
    if not host or host in _LOCAL:
        return [ok("settings", "The market has no public address; settings for trying out do no harm.")]
    unsafe = _unsafe(mine)
    if not unsafe:
        return [ok("settings", f"Nothing for trying out is on at {mine.public_url}.")]
    return [
        failing(
            "settings",
            f"{mine.public_url} is public, but {listed(unsafe)}.",
            "Set JISHI_SANDBOX=0, JISHI_DEMO=0, JISHI_RATE_LIMITS=1 and an https JISHI_PUBLIC_URL, then restart.",
        )
    ]


def _unsafe(mine: Settings) -> list[str]:
    return [
        text
        for found, text in (
            (mine.sandbox, "sandbox payments are on, so anybody can buy without paying"),
            (mine.demo, "the demo market with its public passwords is on"),
            (not mine.rate_limits, "calls are not limited"),
            (not mine.public_url.startswith("https://"), "its address is not https"),
        )
        if found
    ]


async def secret(runtime: Runtime) -> list[Finding]:
    """The file all keys come from."""
    return [await asyncio.to_thread(secret_file, runtime.env.settings)]


def secret_file(mine: Settings) -> Finding:
    """Whether it is there, long enough and closed to others."""
    path = Path(mine.secret_file) if mine.secret_file else Path(mine.data) / "secret"
    try:
        mode, text = path.stat().st_mode, path.read_text().strip()
    except OSError as error:
        return failing(
            "secret",
            f"The secret file {path} cannot be read: {error.strerror}.",
            "Put it back from your backup (personal data cannot be read without it), or set JISHI_SECRET_FILE.",
        )
    try:
        length = len(bytes.fromhex(text))
    except ValueError:
        length = 0
    if length < 32:
        return failing(
            "secret",
            f"The secret file {path} holds no 64 hex digits.",
            "Put it back from your backup; a new one is made with: openssl rand -hex 32.",
        )
    if stat.S_IMODE(mode) & 0o027:
        return warning(
            "secret",
            f"The secret file {path} is open to others (mode {stat.S_IMODE(mode):o}).",
            f"chmod 600 {path}",
        )
    return ok("secret", f"{path} has {length} bytes and is closed to others.")


async def disk(runtime: Runtime) -> list[Finding]:
    """Room in the data folder."""
    path = Path(runtime.env.settings.data)
    while not path.exists() and path != path.parent:  # noqa: ASYNC240 -- one stat each
        path = path.parent
    usage = await asyncio.to_thread(shutil.disk_usage, path)
    return [room(str(path), usage.free, usage.total)]


def room(path: str, free: int, total: int) -> Finding:
    """Failing below 256 MiB, a warning below 2 GiB or 5 percent."""
    text = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB are free at {path}."
    mend = "Make room, or move JISHI_DATA to a larger disk; a full disk stops the embedded database."
    if free < _GIB // 4:
        return failing("disk", text, mend)
    if free < 2 * _GIB or free < total // 20:
        return warning("disk", text, mend)
    return ok("disk", text)
