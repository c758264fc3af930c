"""CPU time of processes, as the kernel accounts it."""

import os
import re
import urllib.request
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_ms(pid: int) -> float:
    """User and system time of one process, and of its children that have ended, in ms."""
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return sum(int(x) for x in fields[11:15]) * 1000 / _TICK


def tree_cpu_ms(pid: int) -> float:
    """The same over a process and all below it."""
    total = cpu_ms(pid)
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if (folder / "stat").read_text().rpartition(")")[2].split()[1] == str(pid):
                    total += tree_cpu_ms(int(folder.name))
            except OSError:
                continue
    return total


def rss_mb(pid: int) -> float:
    """Resident memory."""
    match = re.search(r"VmRSS:\s+(\d+)", (Path("/proc") / str(pid) / "status").read_text())
    return int(match[1]) / 1024 if match else 0.0


def statements(port: int) -> dict[str, tuple[float, float]]:
    """Per route: (answers, SQL statements) so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        text = page.read().decode()
    found: dict[str, list[float]] = {}
    for name, labels, value in re.findall(
        r"^(jishi_requests_total|jishi_statements_total)\{([^}]*)\} (\S+)$", text, re.M
    ):
        route = re.search(r'method="(\w+)".*route="([^":]*)|route="([^":]*).*method="(\w+)"', labels)
        key = (route[2] or route[3]) if route else labels
        found.setdefault(key, [0.0, 0.0])[name == "jishi_statements_total"] += float(value)
    return {k: (v[0], v[1]) for k, v in found.items()}
