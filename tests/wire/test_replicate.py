"""Replicate's predictions: one prompt out, one text back, and what cannot be said is named or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trimtab.core.events import fold
from trimtab.core.messages import FinishReason, Text
from trimtab.core.units import Usage
from trimtab.providers.failures import classify
from trimtab.wire import CODECS, Replicate, Untranslatable, UpstreamErrorEvent, WireError

CHAT = CODECS[next(dialect for dialect in CODECS if dialect == "openai_chat")]


def sent(*messages: tuple[str, Any], **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    body = {"model": "auto", "messages": [{"role": role, "content": content} for role, content in messages], **fields}
    told, lost = Replicate().encode_request(CHAT.decode_request(json.dumps(body).encode()), "meta/llama")
    return json.loads(told)["input"], lost


def test_one_question_is_the_prompt_as_it_is() -> None:
    assert sent(("system", "Be brief."), ("user", "Hi"), max_tokens=9, temperature=0.5, top_p=0.9) == (
        {"prompt": "Hi", "system_prompt": "Be brief.", "max_tokens": 9, "temperature": 0.5, "top_p": 0.9},
        (),
    )


def test_a_conversation_becomes_lines_and_its_roles_are_named_as_lost() -> None:
    told, lost = sent(("user", "Hi"), ("assistant", "Hello."), ("user", "And now?"), seed=3, user="u")
    assert told == {"prompt": "user: Hi\nassistant: Hello.\nuser: And now?\nassistant:"}
    assert lost == ("messages.role", "user", "seed")


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]}]},
        {"messages": [{"role": "tool", "tool_call_id": "1", "content": "4"}]},
    ],
)
def test_what_would_change_the_answer_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Untranslatable):
        sent(("user", "Hi"), **fields)


@pytest.mark.parametrize("output, text", [(["Hel", "lo"], "Hello"), ("Hello", "Hello"), (None, "")])
def test_the_pieces_are_joined(output: object, text: str) -> None:
    body = {"id": "p", "model": "meta/llama", "status": "succeeded", "output": output, "metrics": {"predict_time": 0.2}}
    whole = fold(Replicate().decode_response(json.dumps(body).encode()).events)
    [choice] = whole.choices
    assert (choice.parts, choice.finish_reason) == ((Text(text),) if text else (), FinishReason.STOP)
    assert (whole.id, whole.model, whole.usage) == ("p", "meta/llama", Usage()), "a time is no count of tokens"


@pytest.mark.parametrize(
    "status, kind", [("starting", "transient"), ("processing", "transient"), ("failed", "unknown"), ("canceled", "unknown")]
)
def test_what_is_not_done_is_a_failure(status: str, kind: str) -> None:
    body = json.dumps({"id": "p", "status": status, "output": ["Hel"], "error": "CUDA out of memory"}).encode()
    with pytest.raises(UpstreamErrorEvent) as caught:
        Replicate().decode_response(body)
    assert classify(201, caught.value.error, {}, who="there", now=0.0).kind == kind


@pytest.mark.parametrize("body", [b"", b"{}", b'{"status":"done"}', b'{"status":"succeeded","output":[{"file":1}]}'])
def test_what_is_no_prediction_is_none(body: bytes) -> None:
    with pytest.raises(WireError):
        Replicate().decode_response(body)
