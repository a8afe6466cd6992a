"""OpenAI Responses: what a keeper of answers needs to let a conversation go on by ``previous_response_id``. Pure; it keeps nothing.

A conversation is the items of each request and of each answer, one behind the other. Instructions are no part of it: the protocol does not
carry them over.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from trimtab.wire.body import ABSENT, as_raw, given, read_answer, read_fields, read_request
from trimtab.wire.sse import SSEDecoder

_INPUT: Decoder[str | list[Raw]] = Decoder(str | list[Raw])
_NAME = Decoder(str)


class _Answer(Struct):
    id: str = ""
    output: list[Raw] | None = None


class _Ending(Struct):
    type: str = ""
    response: Raw = ABSENT


class _Item(Struct):
    type: str = ""
    encrypted_content: str | None = None


_ANSWER = Decoder(_Answer)
_ENDING = Decoder(_Ending)
_ITEM = Decoder(_Item)
_FIELDS = Decoder(dict[str, Raw])

_ENDINGS = ("response.completed", "response.incomplete")
_NAMED = ("message", "function_call")
"""Kinds of item that are taken without an id."""


def previous(body: bytes) -> str | None:
    """The id of the answer that this request goes on from. Raises :class:`~trimtab.core.errors.MalformedRequest`."""
    raw = read_fields(body).get("previous_response_id", ABSENT)
    return read_request(_NAME, raw, "previous_response_id") if given(raw) else None


def wants_store(body: bytes) -> bool:
    """Shall the answer be kept? The protocol's default is yes. Raises :class:`~trimtab.core.errors.MalformedRequest`."""
    return bytes(read_fields(body).get("store", ABSENT)) != b"false"


def items_of_input(body: bytes) -> list[Raw]:
    """The items that a request adds to its conversation. Raises :class:`~trimtab.core.errors.MalformedRequest`."""
    raw = read_fields(body).get("input", ABSENT)
    if not given(raw):
        return []
    items = read_request(_INPUT, raw, "input")
    if isinstance(items, str):
        return [as_raw({"type": "message", "role": "user", "content": items})]
    return items


def expand(body: bytes, earlier: Sequence[Raw]) -> bytes:
    """The request with the ``earlier`` items of its conversation before its own, and without the id that stood for them."""
    fields = read_fields(body)
    fields.pop("previous_response_id", None)
    fields["input"] = as_raw([*earlier, *items_of_input(body)])
    return msgspec.json.encode(fields)


def id_of(response_body: bytes) -> str:
    """The id by which the client knows an answer. Raises :class:`~trimtab.wire.codec.WireError`."""
    return read_answer(_ANSWER, response_body).id


def items_of_output(response_body: bytes) -> list[Raw]:
    """The items that an answer adds to its conversation, as they can be sent again. Raises :class:`~trimtab.wire.codec.WireError`.

    The provider has stored none of them. So an id of a message or a call would name nothing there, and thinking that is not there in its
    encrypted form could not be found: OpenAI refuses both ("Items are not persisted when `store` is set to false").
    """
    return [item for raw in read_answer(_ANSWER, response_body).output or () if (item := _replayable(raw)) is not None]


def _replayable(raw: Raw) -> Raw | None:
    item = read_answer(_ITEM, raw)
    if item.type == "reasoning" and not item.encrypted_content:
        return None
    if item.type not in _NAMED:
        return raw
    fields = _FIELDS.decode(raw)
    fields.pop("id", None)
    return as_raw(fields)


def answer_in(events: bytes) -> bytes | None:
    """The whole answer that the last event of a stream carries; ``None`` where ``events`` does not hold it."""
    for event in reversed(SSEDecoder(len(events) + 1).feed(events)):
        ending = read_answer(_ENDING, event.data)
        if ending.type in _ENDINGS and given(ending.response):
            return bytes(ending.response)
    return None
