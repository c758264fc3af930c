"""Where the sandbox listens: on this machine only."""

import socket


def listen(port: int) -> socket.socket:
    """A listening socket on this port, any free one for 0. Raises `OSError`, and `OverflowError` for what is no port."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except (OSError, OverflowError):
        listening.close()
        raise
    listening.listen(512)
    return listening


def url_of(listening: socket.socket) -> str:
    """Its address, without a slash at the end."""
    return f"http://127.0.0.1:{listening.getsockname()[1]}"
