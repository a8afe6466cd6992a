"""The lines of a batch's input: checked all at once, and read one by one where they lie. Nothing here runs one."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from trimtab.core.errors import RequestError
from trimtab.core.messages import Dialect, Request
from trimtab.wire import CODECS
from trimtab.wire.batches import ENDPOINTS, Line, LineFault, read_line
from trimtab.wire.openai_responses import conversation

MAX_LINES = 50_000
"""OpenAI's bound; Anthropic's is twice that."""

MAX_FAULTS = 200
"""So many faults of an input are told. The rest is counted."""


class Checked(Struct, frozen=True):
    total: int
    faults: tuple[LineFault, ...]


def dialect_of(endpoint: str) -> Dialect:
    return ENDPOINTS.get(endpoint, Dialect.ANTHROPIC)


def question(line: Line, endpoint: str) -> Request:
    """What a line asks. Raises :class:`RequestError`: a batch has no streams and no memory."""
    dialect = dialect_of(endpoint)
    request = CODECS[dialect].decode_request(bytes(line.body))
    if request.stream:
        raise RequestError("stream: a batch has no streams.", param="stream", hint="Leave the field out.")
    if dialect is Dialect.OPENAI_RESPONSES and conversation.previous(request.native) is not None:
        raise RequestError(
            "previous_response_id: a batch has no memory.",
            param="previous_response_id",
            hint="Send the whole conversation as input.",
        )
    return request


def check(path: Path, endpoint: str, longest: int) -> Checked:
    """Read the whole input. ``longest`` is that of a line, bytes."""
    faults: list[LineFault] = []
    seen: dict[str, int] = {}
    total = 0
    for total, raw in enumerate(_raw_lines(path, longest), 1):
        fault = _fault(raw, total, endpoint, seen)
        if fault is not None:
            faults.append(fault)
        if total > MAX_LINES:
            faults.append(LineFault("too_many_lines", f"A batch has {MAX_LINES} lines at most. Split the file."))
            break
    if not total:
        faults.append(LineFault("empty_file", "The file has no line."))
    more = len(faults) - MAX_FAULTS
    if more > 0:
        faults = [*faults[:MAX_FAULTS], LineFault("more_errors", f"There are {more} more faults.")]
    return Checked(total, tuple(faults))


def _fault(raw: bytes | None, number: int, endpoint: str, seen: dict[str, int]) -> LineFault | None:
    if raw is None:
        return LineFault("line_too_long", "The line is longer than [server] max_body_bytes.", number)
    line = read_line(raw, number, endpoint)
    if isinstance(line, LineFault):
        return line
    first = seen.setdefault(line.custom_id, number)
    if first != number:
        return LineFault("duplicate_custom_id", f"The custom_id is that of line {first}.", number, "custom_id")
    try:
        question(line, endpoint)
    except RequestError as error:
        return LineFault(
            error.code, f"{error.message} {error.hint}".strip(), number, f"body.{error.param}" if error.param else "body"
        )
    return None


def _raw_lines(path: Path, longest: int) -> Iterator[bytes | None]:
    """The lines without their ends, ``None`` for one that is too long. What follows the last line feed is a line unless it is empty."""
    with path.open("rb") as file:
        while piece := file.readline(longest + 1):
            if piece.endswith(b"\n") or len(piece) <= longest:
                yield piece.rstrip(b"\r\n")
                continue
            while piece and not piece.endswith(b"\n"):
                piece = file.readline(longest)
            yield None


class Input:
    """An input that was checked: where each line lies. Reading it takes a moment of disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ends = array("Q")
        with path.open("rb") as file:
            at = 0
            for raw in file:
                at += len(raw)
                self._ends.append(at)

    def __len__(self) -> int:
        return len(self._ends)

    def read(self, number: int) -> bytes:
        start = self._ends[number - 1] if number else 0
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(self._ends[number] - start)
