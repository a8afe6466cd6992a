"""Features of an answer: the whole body of each in every upstream's protocol that has it, as changes of a plain answer.

Written by hand from the public API references, never by an encoder.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from tests.conformance.matrix.feature import ANTHROPIC, CHAT, COHERE, CONVERSE, GEMINI, REPLICATE, RESPONSES, Json

from trimtab.core.messages import Dialect

ARGUMENTS = '{"city":"Zürich","days":3}'
INPUT: Json = {"city": "Zürich", "days": 3}

PLAIN_ANSWERS: Mapping[Dialect, Json] = {
    CHAT: {
        "id": "a1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "m1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    },
    RESPONSES: {
        "id": "a1",
        "object": "response",
        "created_at": 1700000000,
        "status": "completed",
        "model": "m1",
        "output": [
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
            }
        ],
        "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
    },
    ANTHROPIC: {
        "id": "a1",
        "type": "message",
        "role": "assistant",
        "model": "m1",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
    },
    GEMINI: {
        "candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
        "modelVersion": "m1",
        "responseId": "a1",
    },
    COHERE: {
        "id": "a1",
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
        "usage": {"billed_units": {"input_tokens": 10, "output_tokens": 5}, "tokens": {"input_tokens": 12, "output_tokens": 7}},
    },
    CONVERSE: {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15},
        "metrics": {"latencyMs": 1},
    },
    REPLICATE: {
        "id": "a1",
        "model": "m1",
        "status": "succeeded",
        "output": ["Hel", "lo"],
        "metrics": {"input_token_count": 10, "output_token_count": 5},
    },
}


class AnswerFeature(Struct, frozen=True):
    """``bodies`` are changes of the plain answer: objects are merged, all else is replaced."""

    name: str
    bodies: Mapping[Dialect, Json]


def _choice(message: Json, finish: str = "stop", **more: object) -> Json:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, **more}]}


def _output(*items: Json) -> Json:
    return {"output": list(items)}


def _message(*parts: Json) -> Json:
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": list(parts)}


def _part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}


def _blocks(*blocks: Json, stop: str = "end_turn") -> Json:
    return {"content": list(blocks), "stop_reason": stop}


def _candidate(*parts: Json, finish: str = "STOP", **more: object) -> Json:
    return {"candidates": [{"index": 0, "content": {"role": "model", "parts": list(parts)}, "finishReason": finish, **more}]}


def _spoken(*blocks: Json, stop: str = "end_turn") -> Json:
    return {"output": {"message": {"role": "assistant", "content": list(blocks)}}, "stopReason": stop}


def _function(id: str, arguments: str = ARGUMENTS) -> Json:
    return {"id": id, "type": "function", "function": {"name": "weather", "arguments": arguments}}


def _call(id: str) -> Json:
    return {"type": "function_call", "id": f"fc_{id}", "call_id": id, "name": "weather", "arguments": ARGUMENTS}


def _use(id: str, input: Json) -> Json:
    return {"type": "tool_use", "id": id, "name": "weather", "input": input}


def _tool_use(id: str) -> Json:
    return {"toolUse": {"toolUseId": id, "name": "weather", "input": INPUT}}


_TEXT: Json = {"type": "text", "text": "Hello"}

ANSWERS: tuple[AnswerFeature, ...] = (
    AnswerFeature("text", {dialect: {} for dialect in PLAIN_ANSWERS}),
    AnswerFeature("several blocks of text", {
        RESPONSES: _output(_message(_part("Hello"), _part("World"))),
        ANTHROPIC: _blocks(_TEXT, {"type": "text", "text": "World"}),
        COHERE: {"message": {"role": "assistant", "content": [_TEXT, {"type": "text", "text": "World"}]}},
        CONVERSE: _spoken({"text": "Hello"}, {"text": "World"}),
    }),
    AnswerFeature("parallel tool calls", {
        CHAT: _choice({"content": None, "tool_calls": [_function("c1"), _function("c2")]}, "tool_calls"),
        RESPONSES: _output(_call("c1"), _call("c2")),
        ANTHROPIC: _blocks(_use("c1", INPUT), _use("c2", INPUT), stop="tool_use"),
        GEMINI: _candidate(*({"functionCall": {"id": id, "name": "weather", "args": INPUT}} for id in ("c1", "c2"))),
        COHERE: {"message": {"role": "assistant", "content": [], "tool_calls": [_function("c1"), _function("c2")]},
                 "finish_reason": "TOOL_CALL"},
        CONVERSE: _spoken(_tool_use("c1"), _tool_use("c2"), stop="tool_use"),
    }),
    AnswerFeature("a call without arguments", {
        CHAT: _choice({"content": None, "tool_calls": [_function("c1", "{}")]}, "tool_calls"),
        ANTHROPIC: _blocks(_use("c1", {}), stop="tool_use"),
        GEMINI: _candidate({"functionCall": {"id": "c1", "name": "weather"}}),
    }),
    AnswerFeature("a call whose arguments are no JSON", {
        CHAT: _choice({"content": None, "tool_calls": [_function("c1", '{"city":')]}, "tool_calls"),
    }),
    AnswerFeature("text behind a call", {
        RESPONSES: _output(_call("c1"), _message(_part("Hello"))),
        ANTHROPIC: _blocks(_use("c1", INPUT), _TEXT, stop="tool_use"),
        GEMINI: _candidate({"functionCall": {"id": "c1", "name": "weather", "args": INPUT}}, {"text": "Hello"}),
        CONVERSE: _spoken(_tool_use("c1"), {"text": "Hello"}, stop="tool_use"),
    }),
    AnswerFeature("thinking", {
        CHAT: _choice({"content": "Hello", "reasoning_content": "Hm"}),
        RESPONSES: _output({"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "Hm"}]}, _message(_part("Hello"))),
        GEMINI: _candidate({"text": "Hm", "thought": True}, {"text": "Hello"}),
        COHERE: {"message": {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm"}, _TEXT]}},
    }),
    AnswerFeature("signed thinking", {
        RESPONSES: _output({"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "Hm"}],
                            "encrypted_content": "c2ln"}, _message(_part("Hello"))),
        ANTHROPIC: _blocks({"type": "thinking", "thinking": "Hm", "signature": "c2ln"}, _TEXT),
        GEMINI: _candidate({"text": "Hm", "thought": True, "thoughtSignature": "c2ln"}, {"text": "Hello"}),
        CONVERSE: _spoken({"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "c2ln"}}}, {"text": "Hello"}),
    }),
    AnswerFeature("a signed call", {
        GEMINI: _candidate({"functionCall": {"id": "c1", "name": "weather", "args": INPUT}, "thoughtSignature": "c2ln"}),
    }),
    AnswerFeature("redacted thinking", {
        ANTHROPIC: _blocks({"type": "redacted_thinking", "data": "c2ln"}, _TEXT),
        CONVERSE: _spoken({"reasoningContent": {"redactedContent": "c2ln"}}, {"text": "Hello"}),
    }),
    AnswerFeature("the plan before a call", {
        COHERE: {"message": {"role": "assistant", "tool_plan": "I look.", "tool_calls": [_function("c1")]}, "finish_reason": "TOOL_CALL"},
    }),
    AnswerFeature("refusal", {
        CHAT: _choice({"content": None, "refusal": "No."}),
        RESPONSES: _output(_message({"type": "refusal", "refusal": "No."})),
    }),
    AnswerFeature("several answers", {
        CHAT: {"choices": [{"index": place, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                           for place, text in enumerate(("Hello", "World"))]},
        GEMINI: {"candidates": [{"index": place, "content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}
                                for place, text in enumerate(("Hello", "World"))]},
    }),
    AnswerFeature("log-probabilities", {
        CHAT: _choice({"content": "Hello"}, logprobs={"content": [
            {"token": "Hello", "logprob": -0.5, "bytes": [72, 101, 108, 108, 111], "top_logprobs": []}]}),
        RESPONSES: _output(_message({**_part("Hello"), "logprobs": [
            {"token": "Hello", "logprob": -0.5, "bytes": [72, 101, 108, 108, 111], "top_logprobs": []}]})),
        GEMINI: _candidate({"text": "Hello"}, logprobsResult={
            "chosenCandidates": [{"token": "Hello", "logProbability": -0.5}], "topCandidates": [{"candidates": []}]}),
        COHERE: {"logprobs": [{"text": "Hello", "token_ids": [1], "logprobs": [-0.5]}]},
    }),
    AnswerFeature("citations", {
        CHAT: _choice({"content": "Hello", "annotations": [{"type": "url_citation", "url_citation": {"url": "https://x.test"}}]}),
        RESPONSES: _output(_message({**_part("Hello"), "annotations": [{"type": "url_citation", "url": "https://x.test"}]})),
        ANTHROPIC: _blocks({**_TEXT, "citations": [{"type": "char_location", "cited_text": "x", "document_index": 0}]}),
        GEMINI: _candidate({"text": "Hello"}, groundingMetadata={"groundingChunks": []}),
        COHERE: {"message": {"role": "assistant", "content": [_TEXT], "citations": [{"start": 0, "end": 5, "text": "Hello"}]}},
        CONVERSE: _spoken({"citationsContent": {"content": [{"text": "Hello"}], "citations": [{"title": "x"}]}}),
    }),
    AnswerFeature("a call of the provider's own tool", {
        RESPONSES: _output({"type": "web_search_call", "id": "ws_1", "status": "completed"}, _message(_part("Hello"))),
        ANTHROPIC: _blocks({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, _TEXT),
        GEMINI: _candidate({"executableCode": {"language": "PYTHON", "code": "1"}}, {"text": "Hello"}),
        CONVERSE: _spoken({"toolUse": {"toolUseId": "s", "name": "x", "input": {}, "type": "server_tool_use"}}, {"text": "Hello"}),
    }),
    AnswerFeature("an image or sound", {
        CHAT: _choice({"content": None, "audio": {"id": "x", "data": "UklGRg==", "expires_at": 1, "transcript": "Hello"}}),
        RESPONSES: _output({"type": "image_generation_call", "id": "i", "status": "completed", "result": "iVBORw0KGgo="}),
        GEMINI: _candidate({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}),
        CONVERSE: _spoken({"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}),
    }),
    AnswerFeature("finish: length", {
        CHAT: _choice({"content": "Hello"}, "length"),
        RESPONSES: {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        ANTHROPIC: {"stop_reason": "max_tokens"}, GEMINI: _candidate({"text": "Hello"}, finish="MAX_TOKENS"),
        COHERE: {"finish_reason": "MAX_TOKENS"}, CONVERSE: {"stopReason": "max_tokens"},
    }),
    AnswerFeature("finish: content filter", {
        CHAT: _choice({"content": "Hello"}, "content_filter"),
        RESPONSES: {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
        ANTHROPIC: {"stop_reason": "refusal"}, GEMINI: _candidate({"text": "Hello"}, finish="SAFETY"),
        CONVERSE: {"stopReason": "guardrail_intervened"},
    }),
    AnswerFeature("finish: paused turn", {
        ANTHROPIC: {"stop_reason": "pause_turn"}, GEMINI: _candidate({"text": "Hello"}, finish="CONTINUATION"),
    }),
    AnswerFeature("finish: stop sequence", {
        ANTHROPIC: {"stop_reason": "stop_sequence", "stop_sequence": "END"}, COHERE: {"finish_reason": "STOP_SEQUENCE"},
        CONVERSE: {"stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": "END"}},
    }),
    AnswerFeature("usage: read from the cache", {
        CHAT: {"usage": {"prompt_tokens_details": {"cached_tokens": 4}}},
        RESPONSES: {"usage": {"input_tokens_details": {"cached_tokens": 4}}},
        ANTHROPIC: {"usage": {"input_tokens": 6, "cache_read_input_tokens": 4}},
        GEMINI: {"usageMetadata": {"cachedContentTokenCount": 4}},
        COHERE: {"usage": {"billed_units": None, "tokens": {"input_tokens": 10, "output_tokens": 5}, "cached_tokens": 4}},
        CONVERSE: {"usage": {"inputTokens": 6, "cacheReadInputTokens": 4}},
    }),
    AnswerFeature("usage: written to the cache", {
        CHAT: {"usage": {"prompt_tokens_details": {"cache_write_tokens": 4}}},
        RESPONSES: {"usage": {"input_tokens_details": {"cache_write_tokens": 4}}},
        ANTHROPIC: {"usage": {"input_tokens": 6, "cache_creation_input_tokens": 4}},
        CONVERSE: {"usage": {"inputTokens": 6, "cacheWriteInputTokens": 4}},
    }),
    AnswerFeature("usage: thinking", {
        CHAT: {"usage": {"completion_tokens_details": {"reasoning_tokens": 2}}},
        RESPONSES: {"usage": {"output_tokens_details": {"reasoning_tokens": 2}}},
        ANTHROPIC: {"usage": {"output_tokens_details": {"thinking_tokens": 2}}},
        GEMINI: {"usageMetadata": {"candidatesTokenCount": 3, "thoughtsTokenCount": 2}},
    }),
    AnswerFeature("usage: unknown", {
        CHAT: {"usage": None}, RESPONSES: {"usage": None}, GEMINI: {"usageMetadata": None}, COHERE: {"usage": None},
        CONVERSE: {"usage": None}, REPLICATE: {"metrics": None},
    }),
)  # fmt: skip
