"""Nothing inside a client's body is passed over in silence: an unknown field is named, wherever it stands."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import strategies as some
from tests.conformance.matrix.feature import CLIENTS, GEMINI_EMBED
from tests.conformance.matrix.requests import FEATURES, body_of
from tests.laws.test_wire_laws import damaged

from trimtab.core.errors import MalformedRequest
from trimtab.core.messages import Dialect, Request
from trimtab.wire import CODECS
from trimtab.wire.body import MAX_LOST
from trimtab.wire.unread import unread

WALKED = (*CLIENTS, GEMINI_EMBED)
of_every_client = pytest.mark.parametrize("client", WALKED)
law = settings(max_examples=60, deadline=None)

FREE = frozenset({"parameters", "input_schema", "parametersJsonSchema", "responseJsonSchema", "schema", "args", "response", "data"})
"""Fields whose inside is the client's own, and goes on whole."""


def own(name: str, value: object) -> bool:
    return name in FREE or (name in ("input", "json_schema", "metadata", "labels", "logit_bias") and "name" not in str(value)[:9])


def places(value: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every object of the protocol inside the body."""
    if isinstance(value, dict):
        if at:
            yield at
        for name, inner in value.items():
            if not own(name, inner) or isinstance(inner, list):
                yield from places(inner, (*at, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*at, number))


def read(client: Dialect, body: Any) -> Request:
    return CODECS[client].decode_request(json.dumps(body).encode())


def bodies(client: Dialect) -> list[Any]:
    return [body_of(feature, client) for feature in FEATURES.values() if client in feature.bodies and not feature.refused_at]


def whole(request: Request) -> object:
    """What is read of it at all."""
    return msgspec.structs.replace(request, native=b"", extras=())


@of_every_client
@law
@given(data=st.data(), name=some.names.map(lambda name: f"x_{name}"), value=st.booleans() | some.some_text | st.integers(0, 9))
def test_an_unknown_field_is_named_wherever_it_stands(client: Dialect, data: st.DataObject, name: str, value: object) -> None:
    """By its own path, or by that of the thing that is lost with it: a field, a part of an unknown kind, a hosted tool."""
    body = copy.deepcopy(data.draw(st.sampled_from(bodies(client))))
    found = list(places(body))
    if not found:
        return
    at = data.draw(st.sampled_from(found))
    plain, inner = read(client, body), body
    for step in at:
        inner = inner[step]
    inner[name] = value
    request = read(client, body)
    path = ".".join(map(str, (*at, name)))
    names = {*request.extras, *unread(request)}
    assert path in names or any(path.startswith(f"{lost}.") for lost in names) or whole(plain) != whole(request)


@of_every_client
def test_what_is_known_is_not_named(client: Dialect) -> None:
    assert {name for body in bodies(client) for name in unread(read(client, body))} == set()


@of_every_client
@law
@given(data=st.data())
def test_a_damaged_body_is_walked_without_an_error(client: Dialect, data: st.DataObject) -> None:
    body = data.draw(damaged(data.draw(st.sampled_from(bodies(client)))))
    try:
        request = read(client, body)
    except MalformedRequest:
        return
    unread(request)


def test_a_name_that_is_no_plain_name_is_not_repeated() -> None:
    request = read(Dialect.OPENAI_CHAT, {"model": "m", "messages": [{"role": "user", "content": "?", "my secret": 1}]})
    assert unread(request) == ("messages.0.(a field)",)


def test_there_are_not_more_names_than_a_record_takes() -> None:
    messages = [{"role": "user", "content": "?", "x": 1} for _ in range(100)]
    assert len(unread(read(Dialect.OPENAI_CHAT, {"model": "m", "messages": messages}))) == MAX_LOST + 1


def test_what_other_clients_write_into_this_protocol_is_named() -> None:
    """``cache_control`` in Chat Completions, as some gateways take it: no decoder here reads it, so nobody may think that it worked."""
    part = {"type": "text", "text": "?", "cache_control": {"type": "ephemeral"}}
    request = read(Dialect.OPENAI_CHAT, {"model": "m", "messages": [{"role": "user", "content": [part]}]})
    assert unread(request) == ("messages.0.content.0.cache_control",)


def test_a_deep_body_is_named_as_any() -> None:
    deep = b'{"model":"m","messages":[{"role":"user","content":"?","x":' + b"[1," * 200 + b"1" + b"]" * 200 + b"}]}"
    assert unread(CODECS[Dialect.OPENAI_CHAT].decode_request(deep)) == ("messages.0.x",)
