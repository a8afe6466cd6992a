"""What the translations into several dialects do in the same way.

``at`` is the dotted path of a part, under which its loss is told. Knows no dialect by name; the shapes written here are those that Cohere's
chat took over from OpenAI's, and a tool's schema as everybody has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import Raw

from trimtab.core.messages import Image, Message, Part, Request, Tool, ToolCall, ToolResult
from trimtab.wire.body import Json, Losses, arguments_object, encode_data_url, message_paths

Wire = Json | Raw
"""What stands in a body: written here, or as the client wrote it."""

W = TypeVar("W", bound=Wire)

NO_PARAMETERS: Json = {"type": "object", "properties": {}}
"""The schema of a function that takes none, where a protocol wants one."""


def split_system(
    request: Request, losses: Losses, say: Callable[[Part, str], list[W] | None], *, anywhere: bool = False
) -> tuple[list[W], list[tuple[str, Message]]]:
    """The system prompt, and the turns with their paths.

    System messages, which other protocols allow anywhere, go to the front, unless this one has them ``anywhere`` too; one that was not
    there is named. ``say`` writes a part of the prompt, or says ``None`` of what no prompt can hold.
    """
    system: list[W] = []
    turns: list[tuple[str, Message]] = []
    for message, at in zip(request.messages, message_paths(request), strict=True):
        if message.name is not None:
            losses.add(f"{at}.name")
        if message.role != "system" or (anywhere and turns):
            turns.append((at, message))
            continue
        if turns:
            losses.add(f"{at}.role")
        where = at if at == "system" else f"{at}.content"
        for number, part in enumerate(message.parts):
            said = say(part, f"{where}.{number}")
            if said is None:
                losses.add(f"{where}.{number}")
            else:
                system += said
    return system, turns


def apart(
    message: Message, at: str, losses: Losses, answer: Callable[[ToolResult, str, list[tuple[str, Part]]], Json]
) -> tuple[list[Json], list[tuple[str, Part]]]:
    """A message's results of calls, each written as a message of its own by ``answer``, and what else it holds, with the paths.

    ``answer`` adds to the latter what the message of a result cannot hold.
    """
    results: list[Json] = []
    beside: list[tuple[str, Part]] = []
    for number, part in enumerate(message.parts):
        here = f"{at}.{number}"
        if getattr(part, "cache", None) is not None:
            losses.add(f"{here}.cache_control")
        if isinstance(part, ToolResult):
            results.append(answer(part, here, beside))
        else:
            beside.append((here, part))
    return results, beside


def carried_tools(request: Request, losses: Losses, *, own: bool) -> list[Tool]:
    """The tools without those that only the client's own protocol knows."""
    tools: list[Tool] = []
    for number, tool in enumerate(request.tools):
        if tool.builtin is not None and not own:
            losses.add(f"tools.{number}")
            continue
        if tool.cache is not None:
            losses.add(f"tools.{number}.cache_control")
        tools.append(tool)
    return tools


def arguments_or_text(call: ToolCall, at: str, losses: Losses) -> object:
    """The arguments as the object that a protocol wants; text that is none goes along as one string, and is named."""
    found = arguments_object(call.arguments)
    if found is None:
        losses.add(f"{at}.arguments")
        return {"arguments": call.arguments}
    return found


def function_call(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def image_url(part: Image) -> Json:
    url = part.url or "" if part.data is None else encode_data_url(part.media_type or "image/png", part.data)
    image: Json = {"url": url}
    if part.detail is not None:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def as_content(parts: Sequence[Wire]) -> object:
    """A string where that says the same."""
    match parts:
        case []:
            return ""
        case [{"type": "text", "text": said}]:
            return said
        case _:
            return parts
