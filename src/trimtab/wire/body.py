"""JSON bodies in and out, for every dialect: typed reading with errors that name the field, and what both sides of a body share.

A part of a kind that we do not know is kept undecoded. This file knows no field of any dialect.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from trimtab.core.errors import MalformedRequest
from trimtab.core.messages import Dialect, Image, Opaque, Request
from trimtab.wire.codec import WireError
from trimtab.wire.outline import content_paths
from trimtab.wire.outline import paths as responses_paths

T = TypeVar("T")

Json = dict[str, object]
"""An object on its way out."""

Count = Annotated[int, Meta(ge=0, le=2**53)]
"""A number of tokens: never negative, and small enough for every reader and for a signed 64-bit sum."""

MAX_LOST = 32

ABSENT = Raw()
"""The default of a field that is kept undecoded (``Raw | None`` would refuse objects)."""

_LIST = msgspec.json.Decoder(list[Raw])
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_PLACE = re.compile(r" - at `\$(.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(\w+)`")
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`", re.DOTALL)
_VALUE = re.compile(r"^Invalid (?:enum )?value .*", re.DOTALL)
_FOREIGN_TO_ID = re.compile(r"[^a-zA-Z0-9_-]")


class Kind(Struct):
    """What kind of part, item or tool it is."""

    type: str


_KIND = msgspec.json.Decoder(Kind)


def given(raw: Raw) -> bool:
    """Does an undecoded field hold anything but nothing and ``null``?"""
    return bytes(raw) not in (b"", b"null")


def json_text(raw: Raw) -> str:
    return bytes(raw).decode()


# -- the client's side -------------------------------------------------------------------------------------------------------------


def read_request(decoder: msgspec.json.Decoder[T], body: bytes | Raw, at: str = "") -> T:
    """Decode the client's ``body``, or the part of it at the dotted path ``at``. Raises :class:`MalformedRequest`."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _misfit(str(error), at) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRequest(f"The body is not valid JSON: {error}.", hint="Send one JSON object, encoded as UTF-8.") from None
    except RecursionError:
        raise MalformedRequest("The body is nested too deeply.", param=at or None, hint="Send flatter JSON.") from None


def _misfit(text: str, at: str) -> MalformedRequest:
    place = _PLACE.search(text)
    path = place[1] if place else ""
    text = _PLACE.sub("", text)
    steps = [at] if at else []
    steps += [step for step in re.split(r"[.\[\]]+", path) if step]
    missing, unknown = _MISSING.match(text), _UNKNOWN.match(text)
    if unknown is not None:
        steps.append(plain_name(unknown[1]))
        text, hint = "is not known here", "Leave it out, or mind the spelling."
    elif missing is not None:
        steps.append(missing[1])
        text, hint = "is required", "Add the field and send the request again."
    else:
        # The library quotes a value that is none of those it knows; a message of ours holds no content of a request.
        text = _VALUE.sub("is none of the values that are known here", text)
        text = f"{text[0].lower()}{text[1:]}"
        hint = "Correct the field and send the request again."
    param = ".".join(steps)
    if not param:
        return MalformedRequest("The body is not a JSON object.", hint="Send one JSON object.")
    return MalformedRequest(f"{param}: {text}.", param=param, hint=hint)


def kind_of(raw: Raw, at: str) -> str:
    return read_request(_KIND, raw, at).type


def strange(raw: Raw, at: str, decoder: msgspec.json.Decoder[T], known: Collection[str]) -> Opaque:
    """A part that does not fit ``decoder``: kept whole where its kind is not ``known``, else refused."""
    kind = kind_of(raw, at)
    if kind in known:
        read_request(decoder, raw, at)
    return Opaque(kind, raw)


_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def refuse(param: str, problem: str, hint: str = "Correct the field and send the request again.") -> MalformedRequest:
    return MalformedRequest(f"{param}: {problem}.", param=param, hint=hint)


def read_fields(body: bytes) -> dict[str, Raw]:
    """The top-level fields of the client's body, undecoded; the last of two with one name, which is also the one that is decoded.

    Undecoded text is not looked at, so the encoding of the whole body is checked here.
    """
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise MalformedRequest(
                f"The body is not UTF-8: byte {error.start}.", hint="Send one JSON object, encoded as UTF-8."
            ) from None
    return read_request(_FIELDS, body)


def extras_of(fields: Mapping[str, Raw], carried: frozenset[str]) -> list[str]:
    """The names of fields that no value of ours carries. They are told and recorded, so one that is no plain name is not repeated."""
    return [plain_name(name) for name, raw in fields.items() if name not in carried and given(raw)]


def plain_name(name: str) -> str:
    """The name of a field as it may be told: one that is no plain name may hold anything."""
    return name if _FIELD_NAME.fullmatch(name) else "(a field)"


def with_model(body: bytes, model: str) -> dict[str, Raw]:
    """The fields of a body that was decoded before, with the model replaced."""
    fields = _FIELDS.decode(body)
    fields["model"] = as_raw(model)
    return fields


_Tree = dict[str, "_Tree"]


def without(body: bytes, paths: Iterable[str]) -> bytes:
    """A body that was decoded before, less what stands at those dotted paths, and less what holds nothing any more then.

    Every path leads into one of the body's fields. The other fields stay as they are.
    """
    tree: _Tree = {}
    for path in paths:
        at = tree
        for step in path.split("."):
            at = at.setdefault(step, {})
    fields = _FIELDS.decode(body)
    for name, further in tree.items():
        left = _without(fields[name], further)
        if left is None:
            del fields[name]
        else:
            fields[name] = left
    return msgspec.json.encode(fields)


def _without(raw: Raw, tree: _Tree) -> Raw | None:
    """``None`` where nothing is left of a list, or of its owner."""
    if bytes(raw).lstrip().startswith(b"["):
        members = ((inner, tree.get(str(number))) for number, inner in enumerate(_LIST.decode(raw)))
        kept = [inner if further is None else _without(inner, further) for inner, further in members if further != {}]
        left = [inner for inner in kept if inner is not None]
        return as_raw(left) if left else None
    if tree.keys() == {"0"}:  # a list's only member may stand alone
        return _without(raw, tree["0"]) if tree["0"] else None
    fields = _FIELDS.decode(raw)
    for step, further in tree.items():
        inner = _without(fields[step], further) if further else None
        if inner is not None:
            fields[step] = inner
        elif further:
            return None
        else:
            del fields[step]
    return as_raw(fields)


def as_raw(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))


# -- the upstream's side -----------------------------------------------------------------------------------------------------------


def read_answer(decoder: msgspec.json.Decoder[T], body: bytes | Raw) -> T:
    """Decode what an upstream sent. Raises :class:`WireError` with the place and without the content."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        place = _PLACE.search(str(error))
        raise WireError(f"undecodable answer at {place[1] or '$'}" if place else "undecodable answer") from None


def figures(decoder: msgspec.json.Decoder[T], raw: Raw) -> T | None:
    """What an upstream counted; ``None`` where it is not there or not to be understood, no reason to lose the answer that it came with."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


# -- translation -------------------------------------------------------------------------------------------------------------------


class Losses:
    """Gathers the dotted names of what a translation cannot carry: each once, and not without end."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = dict.fromkeys(names)

    def add(self, name: str) -> None:
        self._names[name] = None

    def add_where(self, **absent: bool) -> None:
        for name, is_lost in absent.items():
            if is_lost:
                self.add(name)

    def names(self) -> tuple[str, ...]:
        names = tuple(self._names)
        if len(names) <= MAX_LOST:
            return names
        return (*names[:MAX_LOST], f"and {len(names) - MAX_LOST} more")


_SYSTEM_BESIDE = frozenset({Dialect.ANTHROPIC, Dialect.GEMINI})


def message_paths(request: Request) -> list[str]:
    """For each message the path by which its client knows it: a system prompt stands beside them in some protocols."""
    if request.dialect is Dialect.OPENAI_RESPONSES and request.native:
        return responses_paths(request.native)
    if request.dialect is Dialect.GEMINI and request.native:
        paths = content_paths(request.native)
        return ["system", *paths] if len(paths) < len(request.messages) else paths
    shift = 0
    if request.dialect in _SYSTEM_BESIDE and request.messages and request.messages[0].role == "system":
        shift = 1
    return ["system" if number < shift else f"messages.{number - shift}" for number in range(len(request.messages))]


def tool_id(id: str) -> str:
    """``id`` in the letters that every protocol takes (Anthropic: ``[a-zA-Z0-9_-]+``). Two ids that differ go on differing."""
    if id and not _FOREIGN_TO_ID.search(id):
        return id
    return f"{_FOREIGN_TO_ID.sub('_', id)}_{zlib.crc32(id.encode('utf-8', 'surrogatepass')):08x}"


_NO_ARGUMENTS = ("", "null")
_EMPTY = Raw(b"{}")


def arguments_object(arguments: str) -> Raw | None:
    """The arguments of a call as the object that some protocols want, ``{}`` for none at all; ``None`` for text that is no object."""
    if arguments.strip() in _NO_ARGUMENTS:
        return _EMPTY
    try:
        fields = _FIELDS.decode(arguments)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Raw(arguments.encode()) if fields else _EMPTY


class DataUrl(Struct, frozen=True):
    media_type: str
    data: str


_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*);base64,", re.IGNORECASE)


def parse_data_url(url: str) -> DataUrl | None:
    """The parts of a base64 ``data:`` URL (RFC 2397); ``None`` for every other URL."""
    head = _DATA_URL.match(url)
    return DataUrl(head[1].lower(), url[head.end() :]) if head else None


def image_at(url: str, detail: str | None = None) -> Image:
    """The image that a URL names, by value where it is a ``data:`` URL."""
    inline = parse_data_url(url)
    if inline is None:
        return Image(url=url, detail=detail)
    return Image(data=inline.data, media_type=inline.media_type, detail=detail)


def encode_data_url(media_type: str, data: str) -> str:
    return f"data:{media_type};base64,{data}"
