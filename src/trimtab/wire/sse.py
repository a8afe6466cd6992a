"""Server-sent events by the WHATWG rules, on bytes, incrementally. Knows nothing of JSON, of dialects, nor of sockets.

The decoder gives the same events for every way of cutting the bytes, and their ``raw`` bytes joined are the input, less a byte order mark.
"""

from __future__ import annotations

import re

from msgspec import Struct

MAX_EVENT_BYTES = 8 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
# The end of a line and an empty line behind it. A CR that follows CRLF may be half of a cut CRLF, so it waits for the next byte; a CR
# after a bare CR or LF does not wait, as the last event of a CR-only stream would then never come. A LF that is left over from that
# reads as one more empty line, which means nothing.
_BLANK = re.compile(rb"\r\n(?:\n|\r\n|\r(?=[^\n]))|(?<!\r)\n[\n\r]|\r\r")
_LONGEST_BLANK = 4


class SSEOverflow(Exception):
    """One event is longer than the decoder may hold."""


class ServerSentEvent(Struct, frozen=True, gc=False):
    """One dispatched event. ``event`` is ``""`` where the sender named none.

    ``raw`` is the exact bytes, with the blank line that ends it and the comments that stood before it.
    """

    event: str
    data: bytes
    raw: bytes


class SSEDecoder:
    """Feed it bytes as they come; it gives the events that are complete."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._held = bytearray()
        self._read = 0  # up to here in ``_held`` are finished blocks without data: comments, empty lines
        self._scanned = 0  # before this offset of ``_held`` no blank line begins
        self._fresh = True
        self._overflowed = False

    @property
    def pending(self) -> bool:
        """Was an event begun and not ended? True when the stream was cut inside one."""
        return any(line and not line.startswith(b":") for line in bytes(self._held[self._read :]).splitlines())

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that ``chunk`` completes. Raises :class:`SSEOverflow`, after every event before the overlong one was given."""
        if self._overflowed:
            raise SSEOverflow(f"A server-sent event is longer than {self._max} bytes.")
        if self._held or self._fresh:
            self._held += chunk
            if self._fresh and not self._strip_mark():
                return []
            found = _BLANK.search(self._held, self._scanned)
            if found is None:
                self._scanned = max(self._read, len(self._held) - _LONGEST_BLANK + 1)
                return self._bounded([], len(self._held))
            data = bytes(self._held)
            self._held.clear()
        else:
            data = chunk
        return self._split(data)

    def _strip_mark(self) -> bool:
        """Drop a byte order mark; False while it cannot be told yet."""
        head = self._held[:3]
        if len(head) < len(_BOM) and _BOM.startswith(head):
            return False
        if head == _BOM:
            del self._held[:3]
        self._fresh = False
        return True

    def _split(self, data: bytes) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        begin, block, search = 0, self._read, self._scanned
        # Most upstreams write LF only; there ``find`` does in a third of the time what the pattern does.
        is_plain = b"\r" not in data
        while True:
            if is_plain:
                stop = data.find(b"\n\n", search)
                if stop < 0:
                    break
                end = stop + 2
            else:
                found = _BLANK.search(data, search)
                if found is None:
                    break
                stop, end = found.span()
            parsed = _parse(data[block:stop])
            block = search = end
            if parsed is not None:
                if end - begin > self._max:
                    return self._bounded(events, end - begin)
                events.append(ServerSentEvent(parsed[0], parsed[1], data[begin:end]))
                begin = end
        self._read = self._scanned = 0
        if begin == len(data):
            return events
        self._held += data[begin:]
        self._read = block - begin
        self._scanned = max(self._read, len(self._held) - _LONGEST_BLANK + 1)
        return self._bounded(events, len(self._held))

    def _bounded(self, events: list[ServerSentEvent], size: int) -> list[ServerSentEvent]:
        self._overflowed = size > self._max
        if self._overflowed and not events:
            raise SSEOverflow(f"A server-sent event is longer than {self._max} bytes.")
        return events


def _parse(block: bytes) -> tuple[str, bytes] | None:
    """Name and data of a block of lines; ``None`` when it holds no data, which is then no event."""
    name = ""
    data: list[bytes] = []
    for line in block.splitlines():
        if line.startswith(b"data: "):
            data.append(line[6:])
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    if not data:
        return None
    return name, data[0] if len(data) == 1 else b"\n".join(data)


def encode_event(data: bytes, event: str = "") -> bytes:
    """``data``, which holds no line end (JSON never does), as one event."""
    if event:
        return b"event: %b\ndata: %b\n\n" % (event.encode(), data)
    return b"data: %b\n\n" % data
