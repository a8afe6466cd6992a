"""``multipart/form-data`` (RFC 7578, RFC 2046), read strictly and in place, so that one field can be replaced and nothing else.

Two readers that understand one body differently are a way around a check. So whatever the grammar leaves to taste is refused:
text before the first part or behind the last, bare line feeds, padded delimiters, a field of ours that occurs twice. The boundary
is taken from the body itself, and the upstream is told that one: it reads what was read here. (``python-multipart`` was weighed:
it is made for streams, passes over what stands outside the parts, and takes a line that only begins like a delimiter for
content.)

Knows no field of any operation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from mmap import mmap

from msgspec import Struct

from trimtab.core.errors import MalformedRequest

MAX_PARTS = 256
MAX_HEADER_BYTES = 8 * 1024

# RFC 2046, 5.1.1: up to 70 of these letters, the last no space.
_BOUNDARY = re.compile(rb"--([0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?])\r\n")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*)")
_PARAMETER = re.compile(r";[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([!#$%&'*+\-.^_`|~0-9A-Za-z]+))[ \t]*")
_NAME = re.compile(r"[^\\\"%\x00-\x1f]+")
_PLAIN_ENCODINGS = ("7bit", "8bit", "binary")


class Field(Struct, frozen=True):
    """One part. Its content stands at ``[start, stop)`` of the body; ``filename`` is ``None`` for a plain value."""

    name: str
    filename: str | None
    start: int
    stop: int


class Form(Struct, frozen=True):
    body: bytes | mmap
    boundary: str
    fields: tuple[Field, ...]

    @property
    def content_type(self) -> str:
        boundary = self.boundary if _TOKEN.fullmatch(self.boundary) else f'"{self.boundary}"'
        return f"multipart/form-data; boundary={boundary}"

    def only(self, name: str) -> Field | None:
        """The field of this name. Raises :class:`MalformedRequest` where there are two."""
        found = [field for field in self.fields if field.name == name]
        if len(found) > 1:
            raise MalformedRequest(f"{name}: occurs {len(found)} times.", param=name, hint="Send the field once.")
        return found[0] if found else None

    def text(self, name: str) -> str | None:
        """The value of a plain field; ``None`` where there is none. Raises :class:`MalformedRequest`."""
        field = self.only(name)
        if field is None:
            return None
        if field.filename is not None:
            raise MalformedRequest(f"{name}: is a file.", param=name, hint="Send the field as a plain value.")
        try:
            return self.body[field.start : field.stop].decode()
        except UnicodeDecodeError:
            raise MalformedRequest(f"{name}: is not UTF-8.", param=name, hint="Encode the value as UTF-8.") from None

    def replaced(self, name: str, value: str) -> bytes:
        """The body with the value of one field replaced, and every other byte as it came."""
        field = self.only(name)
        if field is None:
            raise ValueError(f"the form has no field {name}")
        return b"".join((self.body[: field.start], value.encode(), self.body[field.stop :]))


def read_form(body: bytes | mmap) -> Form:
    """A long body may lie in a file. Raises :class:`MalformedRequest`."""
    opening = _BOUNDARY.match(body)
    if opening is None:
        raise MalformedRequest(
            "The body is not multipart/form-data that begins with its boundary.",
            hint="Send the fields as a form, the audio as file.",
        )
    fields = tuple(_fields(body, opening[1], opening.end()))
    return Form(body, opening[1].decode("ascii"), fields)


def _fields(body: bytes | mmap, boundary: bytes, at: int) -> Iterator[Field]:
    delimiter = b"\r\n--" + boundary
    for number in range(MAX_PARTS):
        # A part without any header would begin with the empty line.
        end_of_head = body.find(b"\r\n\r\n", at, at + MAX_HEADER_BYTES)
        if end_of_head < 0:
            raise _broken(f"part {number} has no header, or one that is too long or does not end")
        start = end_of_head + 4
        stop = body.find(delimiter, start - 2)
        if stop < start:
            raise _broken(f"part {number} does not end")
        yield _field(body[at:end_of_head], number, start, stop)
        at = stop + len(delimiter)
        if body[at : at + 2] == b"--":
            if body[at + 2 :] not in (b"", b"\r\n"):
                raise _broken("something stands behind the last boundary")
            return
        if body[at : at + 2] != b"\r\n":
            raise _broken(f"part {number} holds a line that begins like the boundary")
        at += 2
    raise _broken(f"it has more than {MAX_PARTS} parts")


def _field(head: bytes, number: int, start: int, stop: int) -> Field:
    headers: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n"):
        header = _HEADER.fullmatch(line)
        if header is None or header[1].lower() in headers:
            raise _broken(f"part {number} has a header that is broken or occurs twice")
        headers[header[1].lower()] = header[2].strip()
    encoding = headers.get(b"content-transfer-encoding", b"binary").decode("latin-1").lower()
    if encoding not in _PLAIN_ENCODINGS:
        raise _broken(f"part {number} has a content-transfer-encoding", "Send every part as it is: RFC 7578, 4.7.")
    try:
        name, filename = _disposition(headers.get(b"content-disposition", b"").decode())
    except ValueError:
        raise _broken(f"part {number} has no content-disposition of a form's field, or a broken one") from None
    return Field(name, filename, start, stop)


def _disposition(value: str) -> tuple[str, str | None]:
    kind, semicolon, rest = value.partition(";")
    if kind.strip().lower() != "form-data":
        raise ValueError(kind)
    parameters: dict[str, str] = {}
    rest = semicolon + rest
    while rest:
        parameter = _PARAMETER.match(rest)
        if parameter is None or parameter[1].lower() in parameters:
            raise ValueError(rest)
        quoted = parameter[2]
        parameters[parameter[1].lower()] = parameter[3] if quoted is None else quoted
        rest = rest[parameter.end() :]
    name = parameters.pop("name", "")
    filename = parameters.pop("filename", None)
    encoded = parameters.pop("filename*", None)
    # What another reader could unescape, or take from a parameter that we do not know, could be another name to it.
    if parameters or not _NAME.fullmatch(name):
        raise ValueError(name)
    return name, encoded if filename is None else filename


def _broken(problem: str, hint: str = "Send the form as RFC 7578 has it, with CRLF line ends.") -> MalformedRequest:
    return MalformedRequest(f"The form cannot be read: {problem}.", hint=hint)
