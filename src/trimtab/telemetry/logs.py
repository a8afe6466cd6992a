"""One structured log line per happening.

Redaction lives here: a line is built from named facts that are ids, names and numbers, and never from a request's content. It knows nothing
of where the facts come from.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping

import msgspec

_LEVELS = ("debug", "info", "warning", "error")

Fact = str | int | float | bool | None


class _JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Fact] = {"at": self.formatTime(record), "level": record.levelname.lower(), "event": record.getMessage()}
        facts = getattr(record, "facts", None)
        if isinstance(facts, Mapping):
            line.update(facts)
        if record.exc_info and record.exc_info[0] is not None:
            # The type and place of an error are facts; its text may quote a request.
            line["error"] = record.exc_info[0].__name__
            line["where"] = _innermost(record)
        return msgspec.json.encode(line).decode()


def _innermost(record: logging.LogRecord) -> str:
    trace = record.exc_info[2] if record.exc_info else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else ""


def configure_logging(level: str = "info") -> None:
    """One JSON object per line on stderr."""
    if level not in _LEVELS:
        raise ValueError(f"log level must be one of {', '.join(_LEVELS)}, not {level!r}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSONFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def log(name: str, event: str, *, level: int = logging.INFO, error: BaseException | None = None, **facts: Fact) -> None:
    """Say that ``event`` happened. ``facts`` are ids, names and numbers."""
    logging.getLogger(name).log(level, event, extra={"facts": facts}, exc_info=error)
