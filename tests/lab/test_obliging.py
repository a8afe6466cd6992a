"""What the lab makes up fits the schema: msgspec writes the schema of a type and reads what came out as that type."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta, Raw, Struct

from trimtab.lab.upstream.answers import HELLO
from trimtab.lab.upstream.obliging import Asked, oblige


class Inner(Struct):
    kind: Literal["a", "b"]
    sizes: list[int]


class Outer(Struct):
    name: str
    inner: Inner
    inners: list[Inner]
    ratio: float
    on: bool
    nothing: None
    count: Annotated[int, Meta(ge=40)]
    maybe: Inner | None
    table: dict[str, int]


def schema_of(type: object) -> Raw:
    return Raw(msgspec.json.encode(msgspec.json.schema(type)))


@pytest.mark.parametrize("type", [Inner, Outer, list[Outer], str, Literal["x"]], ids=str)
def test_an_object_fits_its_schema(type: object) -> None:
    said = oblige(Asked(schema=schema_of(type)))
    assert said.finish == "stop"
    msgspec.json.decode("".join(said.text), type=type)


def test_the_first_tool_is_called_until_its_result_is_there() -> None:
    tools = (("outer", schema_of(Outer)), ("inner", schema_of(Inner)))
    said = oblige(Asked(tools=tools))
    assert said.finish == "tool_calls"
    [call] = said.calls
    assert call.name == "outer"
    msgspec.json.decode(call.arguments, type=Outer)
    assert oblige(Asked(tools=tools, settled=True)) == HELLO


def test_a_tool_without_parameters_gets_none() -> None:
    assert [call.arguments for call in oblige(Asked(tools=(("now", Raw()),))).calls] == ["{}"]
    assert oblige(Asked()) == HELLO
