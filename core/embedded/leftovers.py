"""What a killed postmaster leaves behind: backends that still run, pid files whose number was used again."""

import contextlib
import os
import pathlib
import signal


def pid_in(path: pathlib.Path) -> int:
    """The pid on the first line of a PostgreSQL lock file; 0 without one."""
    try:
        return abs(int(path.read_text().split("\n", 1)[0]))
    except (OSError, ValueError):
        return 0


def processes_in(pg: pathlib.Path) -> tuple[list[int], bool]:
    """Pids of the PostgreSQL processes whose working folder is ``pg``, and whether there may be others.

    Others: PostgreSQL processes that we may not look into (root in a container without CAP_SYS_PTRACE).
    Nothing is known where there is no /proc.
    """
    status = pg.stat()
    own: list[int] = []
    unknown = not pathlib.Path("/proc/self").exists()
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if not _is_postgres(int(entry.name)):
                continue
            folder = (entry / "cwd").stat()
        except PermissionError:
            unknown = True
        except OSError:
            continue
        else:
            if (folder.st_dev, folder.st_ino) == (status.st_dev, status.st_ino):
                own.append(int(entry.name))
    return own, unknown


def _is_postgres(pid: int) -> bool:
    """Whether ``pid`` runs PostgreSQL; a zombie does not, though it answers to signals."""
    rest, _, state = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
    return rest.endswith("(postgres") and state.split()[0] not in "ZX"


def forget_reused_pid(path: pathlib.Path) -> None:
    """Remove a lock file that names a living process which is no PostgreSQL.

    PostgreSQL takes the file for its own only by the pid and would refuse to start for ever; in a container,
    where pids are small, that happens. To be called only when nothing of an earlier server runs.
    """
    pid = pid_in(path)
    with contextlib.suppress(OSError):
        if pid and not _is_postgres(pid):
            path.unlink()


def end(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
