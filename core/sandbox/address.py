"""Where the sandbox listens: on this machine only."""

import socket

from core.kit.sockets import listening


def listen(port: int) -> socket.socket:
    """A listening socket on this port, any free one for 0. Raises `OSError`, and `OverflowError` for what is no port."""
    return listening("127.0.0.1", port, 512)


def url_of(there: socket.socket) -> str:
    """Its address, without a slash at the end."""
    return f"http://127.0.0.1:{there.getsockname()[1]}"
