"""How a process can be watched: its log on standard error, and traces when JISHI_OTLP asks for them."""

import atexit
import logging
import os
import sys

import msgspec
import structlog

from core.command.config import ConfigError
from core.kit import logs
from core.kit.settings import Settings


def log() -> None:
    """Log to standard error: for people, or as JSON lines with JISHI_LOG=json."""
    json_lines = not sys.stderr.isatty() and os.environ.get("JISHI_LOG") == "json"
    renderer = (
        structlog.processors.JSONRenderer(lambda event, **_: msgspec.json.encode(event, enc_hook=repr))
        if json_lines
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            logs.add,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer)
        if json_lines
        else structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def trace(settings: Settings, service: str) -> None:
    """Switch traces on when JISHI_OTLP names an endpoint; otherwise nothing of it is imported. Raises `ConfigError`."""
    if not settings.otlp:
        return
    try:
        from core.deployment import otel
    except ImportError:
        raise ConfigError("JISHI_OTLP needs the extra otel: pip install 'jishi[otel]'.") from None
    atexit.register(otel.start(settings.otlp, service))
