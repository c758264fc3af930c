"""Sockets that servers listen on."""

import socket


def listening(host: str, port: int, backlog: int) -> socket.socket:
    """One that listens on this address, on any free port for 0. Raises `OSError`; `OverflowError` for what is no port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns off Nagle's algorithm only for connections that say they are TCP's, which they have from here. With it
    # the second part of an answer waits for the client to acknowledge the first: 40 ms.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(backlog)
    except (OSError, OverflowError):
        made.close()
        raise
    return made
