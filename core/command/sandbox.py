"""The process of the sandbox payment service: `jishi sandbox`, or a child of `jishi run` on a socket that its parent opened.

Run as a module it takes the number of that socket. It imports little, so that it is small and quick to start.
"""

import errno
import socket
import sys
from pathlib import Path

from core.command import config
from core.command.config import ConfigError
from core.kit.settings import Settings
from core.sandbox import address


def listen(settings: Settings) -> socket.socket:
    """A socket that only this machine reaches, on `sandbox_port`; any free port for 0. Raises `ConfigError`."""
    try:
        return address.listen(settings.sandbox_port)
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "is taken" if taken else "cannot be listened on"
        raise ConfigError(
            f"Port {settings.sandbox_port} {why}; choose another for the sandbox payment service with JISHI_SANDBOX_PORT."
        ) from None


def serve(settings: Settings, listening: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    import uvloop

    from core.sandbox import server

    uvloop.run(server.serve(Path(settings.data), config.open_vault(settings), listening))


def main() -> None:
    """A child of `jishi run`."""
    from core.command import observe
    from core.command.children import die_with_parent

    die_with_parent()
    observe.log()
    settings, _ = config.load()
    serve(settings, socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
