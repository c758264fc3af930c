"""How a process tells whoever started it that it works: `jishi run` by a pipe, systemd by its notification socket."""

import contextlib
import os
import socket

READY_FD = "JISHI_READY_FD"


def announce() -> None:
    """Say once that this process serves. Does nothing when nobody asked."""
    number = os.environ.pop(READY_FD, None)
    if number is not None:
        with contextlib.suppress(OSError, ValueError):
            os.write(int(number), b"1")
            os.close(int(number))
    notify("READY=1")


def notify(state: str) -> None:
    """A line for systemd (`sd_notify`), when it runs this process with `Type=notify`."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.connect("\0" + address[1:] if address.startswith("@") else address)
        out.sendall(state.encode())
