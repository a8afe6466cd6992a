"""Features of how is answered: calls and their results, sampling, thinking, the form of the answer, and what a provider sells."""

from __future__ import annotations

from tests.conformance.matrix.content import PNG, SCHEMA
from tests.conformance.matrix.feature import (
    ANTHROPIC,
    CHAT,
    COHERE,
    COHERE_EMBED,
    EMBEDDINGS,
    GEMINI,
    GEMINI_EMBED,
    RESPONSES,
    Feature,
    Json,
    config,
    contents,
    items,
    turns,
)

_ASKED: Json = {"role": "user", "content": "Hi"}
_SAID: Json = {"role": "user", "parts": [{"text": "Hi"}]}
_ARGUMENTS = '{"city":"Zürich","days":3}'
_INPUT: Json = {"city": "Zürich", "days": 3}


def _calls(*ids: str) -> Json:
    """The turn of an assistant that calls, as Chat and Cohere write it."""
    function = {"name": "weather", "arguments": _ARGUMENTS}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": id, "type": "function", "function": function} for id in ids],
    }


def _call(id: str) -> Json:
    return {"type": "function_call", "call_id": id, "name": "weather", "arguments": _ARGUMENTS}


def _use(*ids: str) -> Json:
    return {"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": "weather", "input": _INPUT} for id in ids]}


def _result(id: str, **more: object) -> Json:
    return {"type": "tool_result", "tool_use_id": id, "content": "sunny", **more}


def _used(*ids: str) -> Json:
    return {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": _INPUT, "id": id}} for id in ids]}


def _answers(*responses: Json) -> Json:
    return {"role": "user", "parts": [{"functionResponse": {"name": "weather", **response}} for response in responses]}


HISTORY = (
    Feature("a call and its result", {
        CHAT: turns(_ASKED, _calls("call_1"), {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}),
        RESPONSES: items(_ASKED, _call("call_1"), {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}),
        ANTHROPIC: turns(_ASKED, _use("call_1"), {"role": "user", "content": [_result("call_1")]}),
        GEMINI: contents(_SAID, _used("call_1"), _answers({"id": "call_1", "response": {"output": "sunny"}})),
        COHERE: turns(_ASKED, _calls("call_1"), {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}),
    }, base="tools"),
    Feature("parallel calls and their results", {
        CHAT: turns(_ASKED, _calls("call_1", "call_2"), {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
                    {"role": "tool", "tool_call_id": "call_2", "content": "rain"}),
        RESPONSES: items(_ASKED, _call("call_1"), _call("call_2"),
                         {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
                         {"type": "function_call_output", "call_id": "call_2", "output": "rain"}),
        ANTHROPIC: turns(_ASKED, _use("call_1", "call_2"),
                         {"role": "user", "content": [_result("call_1"), {**_result("call_2"), "content": "rain"}]}),
        GEMINI: contents(_SAID, _used("call_1", "call_2"), _answers({"id": "call_1", "response": {"output": "sunny"}},
                                                                    {"id": "call_2", "response": {"output": "rain"}})),
        COHERE: turns(_ASKED, _calls("call_1", "call_2"), {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
                      {"role": "tool", "tool_call_id": "call_2", "content": "rain"}),
    }, base="tools"),
    Feature("calls and results without ids", {
        GEMINI: contents(_SAID, {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": _INPUT}}]},
                         _answers({"response": {"output": "sunny"}})),
    }, base="tools"),
    Feature("a call that failed", {
        ANTHROPIC: turns(_ASKED, _use("call_1"), {"role": "user", "content": [_result("call_1", is_error=True)]}),
        GEMINI: contents(_SAID, _used("call_1"), _answers({"id": "call_1", "response": {"error": "sunny"}})),
    }, ("*.is_error",), base="a call and its result"),
    Feature("an image in a result", {
        CHAT: turns(_ASKED, _calls("call_1"), {"role": "tool", "tool_call_id": "call_1", "content": [
            {"type": "text", "text": "sunny"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]}),
        RESPONSES: items(_ASKED, _call("call_1"), {"type": "function_call_output", "call_id": "call_1", "output": [
            {"type": "input_text", "text": "sunny"}, {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}]}),
        ANTHROPIC: turns(_ASKED, _use("call_1"), {"role": "user", "content": [{**_result("call_1"), "content": [
            {"type": "text", "text": "sunny"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}]}]}),
        GEMINI: contents(_SAID, _used("call_1"), _answers({"id": "call_1", "response": {"output": "sunny"},
                                                           "parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}]})),
    }, base="a call and its result"),
    Feature("a call signed by the model", {
        GEMINI: contents(_SAID, {"role": "model", "parts": [
            {"functionCall": {"name": "weather", "args": _INPUT, "id": "call_1"}, "thoughtSignature": "c2ln"}]},
            _answers({"id": "call_1", "response": {"output": "sunny"}})),
    }, ("contents.1.content.0",), base="a call and its result"),
    Feature("the plan before a call", {
        COHERE: turns(_ASKED, {**_calls("call_1"), "tool_plan": "I look."},
                      {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}),
    }, ("messages.1.content.0",), base="a call and its result"),
    Feature("a call of the provider's own tool", {
        RESPONSES: items(_ASKED, {"type": "web_search_call", "id": "ws_1", "status": "completed"},
                         {"role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}, _ASKED),
        ANTHROPIC: turns(_ASKED, {"role": "assistant", "content": [
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
            {"type": "text", "text": "Hello"}]}, _ASKED),
        GEMINI: contents(_SAID, {"role": "model", "parts": [
            {"executableCode": {"language": "PYTHON", "code": "1"}}, {"text": "Hello"}]}, _SAID),
    }, ("*.1.content.0",), base="several turns"),
    Feature("MCP calls that the provider made", {
        RESPONSES: items(_ASKED, {"type": "mcp_call", "id": "mcp_1", "server_label": "docs", "name": "find", "arguments": "{}"},
                         {"role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}, _ASKED),
        ANTHROPIC: turns(_ASKED, {"role": "assistant", "content": [
            {"type": "mcp_tool_use", "id": "m", "name": "find", "server_name": "docs", "input": {}},
            {"type": "mcp_tool_result", "tool_use_id": "m", "is_error": False, "content": []},
            {"type": "text", "text": "Hello"}]}, _ASKED),
    }, ("*.1.content.?",), base="several turns"),
)  # fmt: skip

SAMPLING = (
    Feature("stream", {CHAT: {"stream": True}, RESPONSES: {"stream": True}, ANTHROPIC: {"stream": True}, COHERE: {"stream": True}}),
    Feature("max tokens, older name", {CHAT: {"max_tokens": 7, "max_completion_tokens": None}}),
    Feature("max tokens", {
        CHAT: {"max_completion_tokens": 7}, RESPONSES: {"max_output_tokens": 7}, ANTHROPIC: {"max_tokens": 7},
        GEMINI: config(maxOutputTokens=7), COHERE: {"max_tokens": 7},
    }),
    Feature("temperature", {
        CHAT: {"temperature": 0.5}, RESPONSES: {"temperature": 0.5}, ANTHROPIC: {"temperature": 0.5}, GEMINI: config(temperature=0.5),
        COHERE: {"temperature": 0.5},
    }),
    Feature("temperature above 1", {
        CHAT: {"temperature": 1.5}, RESPONSES: {"temperature": 1.5}, GEMINI: config(temperature=1.5),
    }, ("temperature",)),
    Feature("top_p", {
        CHAT: {"top_p": 0.5}, RESPONSES: {"top_p": 0.5}, ANTHROPIC: {"top_p": 0.5}, GEMINI: config(topP=0.5), COHERE: {"p": 0.5},
    }),
    Feature("top_k", {CHAT: {"top_k": 7}, ANTHROPIC: {"top_k": 7}, GEMINI: config(topK=7), COHERE: {"k": 7}}, ("top_k",)),
    Feature("stop sequences", {
        CHAT: {"stop": ["END"]}, ANTHROPIC: {"stop_sequences": ["END"]}, GEMINI: config(stopSequences=["END"]),
        COHERE: {"stop_sequences": ["END"]},
    }, ("stop", "stop_sequences")),
    Feature("seed", {CHAT: {"seed": 7}, GEMINI: config(seed=7), COHERE: {"seed": 7}}, ("seed",)),
    Feature("presence penalty", {
        CHAT: {"presence_penalty": 0.5}, GEMINI: config(presencePenalty=0.5), COHERE: {"presence_penalty": 0.5},
    }, ("presence_penalty",)),
    Feature("frequency penalty", {
        CHAT: {"frequency_penalty": 0.5}, GEMINI: config(frequencyPenalty=0.5), COHERE: {"frequency_penalty": 0.5},
    }, ("frequency_penalty",)),
    Feature("negative penalty", {CHAT: {"presence_penalty": -0.5}, GEMINI: config(presencePenalty=-0.5)}, ("presence_penalty",)),
    Feature("several answers", {CHAT: {"n": 2}, GEMINI: config(candidateCount=2)}, ("n",)),
    Feature("logit bias", {CHAT: {"logit_bias": {"50256": -100}}}, ("logit_bias",)),
    Feature("log-probabilities", {
        CHAT: {"logprobs": True}, RESPONSES: {"include": ["message.output_text.logprobs"]}, GEMINI: config(responseLogprobs=True),
        COHERE: {"logprobs": True},
    }, ("logprobs",)),
    Feature("alternatives of each token", {
        CHAT: {"logprobs": True, "top_logprobs": 2},
        RESPONSES: {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
        GEMINI: config(responseLogprobs=True, logprobs=2),
    }, ("logprobs", "top_logprobs"), base="log-probabilities"),
    Feature("thinking effort: low", {
        CHAT: {"reasoning_effort": "low"}, RESPONSES: {"reasoning": {"effort": "low"}}, ANTHROPIC: {"output_config": {"effort": "low"}},
        GEMINI: config(thinkingConfig={"thinkingLevel": "LOW"}),
    }, ("reasoning_effort",)),
    Feature("thinking effort: minimal", {
        CHAT: {"reasoning_effort": "minimal"}, RESPONSES: {"reasoning": {"effort": "minimal"}},
        GEMINI: config(thinkingConfig={"thinkingLevel": "MINIMAL"}),
    }, ("reasoning_effort",)),
    Feature("no thinking", {
        CHAT: {"reasoning_effort": "none"}, RESPONSES: {"reasoning": {"effort": "none"}}, ANTHROPIC: {"thinking": {"type": "disabled"}},
        GEMINI: config(thinkingConfig={"thinkingBudget": 0}), COHERE: {"thinking": {"type": "disabled"}},
    }, ("reasoning_effort", "thinking", "*.thinkingBudget")),
    Feature("thinking budget", {
        ANTHROPIC: {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        GEMINI: config(thinkingConfig={"thinkingBudget": 2000}),
        COHERE: {"thinking": {"type": "enabled", "token_budget": 2000}},
    }, ("thinking.budget_tokens", "thinking_budget")),
    Feature("thinking as the model likes", {
        ANTHROPIC: {"thinking": {"type": "adaptive"}}, GEMINI: config(thinkingConfig={"thinkingBudget": -1}),
        COHERE: {"thinking": {"type": "enabled"}},
    }, ("thinking", "*.thinkingBudget")),
    Feature("summary of the thinking", {
        RESPONSES: {"reasoning": {"summary": "auto"}}, GEMINI: config(thinkingConfig={"includeThoughts": True}),
        ANTHROPIC: {"thinking": {"type": "adaptive", "display": "omitted"}},
    }, ("reasoning.summary", "*.includeThoughts", "thinking")),
)  # fmt: skip

FORM = (
    Feature("plain text", {
        CHAT: {"response_format": {"type": "text"}}, RESPONSES: {"text": {"format": {"type": "text"}}},
        GEMINI: config(responseMimeType="text/plain"), COHERE: {"response_format": {"type": "text"}},
    }),
    Feature("JSON object", {
        CHAT: {"response_format": {"type": "json_object"}}, RESPONSES: {"text": {"format": {"type": "json_object"}}},
        GEMINI: config(responseMimeType="application/json"), COHERE: {"response_format": {"type": "json_object"}},
    }, ("response_format",)),
    Feature("JSON schema", {
        CHAT: {"response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}},
        RESPONSES: {"text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA}}},
        ANTHROPIC: {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        GEMINI: config(responseMimeType="application/json", responseJsonSchema=SCHEMA),
        COHERE: {"response_format": {"type": "json_object", "json_schema": SCHEMA}},
    }, ("response_format.json_schema.name", "response_format")),
    Feature("JSON schema, strict", {
        CHAT: {"response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}},
        RESPONSES: {"text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}}},
    }, ("response_format.json_schema.name", "response_format")),
    Feature("JSON schema, description", {
        CHAT: {"response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "description": "d"}}},
        RESPONSES: {"text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "description": "d"}}},
    }, ("*.description",), base="JSON schema"),
    Feature("verbosity", {CHAT: {"verbosity": "low"}, RESPONSES: {"text": {"verbosity": "low"}}}, ("verbosity", "text.verbosity")),
    Feature("predicted output", {CHAT: {"prediction": {"type": "content", "content": "x"}}}, ("prediction",)),
    Feature("spoken answer", {
        CHAT: {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
        GEMINI: config(responseModalities=["AUDIO"]),
    }, ("modalities", "audio", "*.responseModalities")),
)  # fmt: skip

SERVICE = (
    Feature("user id", {CHAT: {"user": "u1"}, RESPONSES: {"user": "u1"}, ANTHROPIC: {"metadata": {"user_id": "u1"}}}, ("user",)),
    Feature("metadata", {CHAT: {"metadata": {"a": "b"}}, RESPONSES: {"metadata": {"a": "b"}}, GEMINI: {"labels": {"a": "b"}}},
            ("metadata", "labels")),
    Feature("service tier", {CHAT: {"service_tier": "flex"}, RESPONSES: {"service_tier": "flex"}, ANTHROPIC: {"service_tier": "auto"}},
            ("service_tier",)),
    Feature("prompt cache key", {CHAT: {"prompt_cache_key": "k"}, RESPONSES: {"prompt_cache_key": "k"}, GEMINI: {"cachedContent": "c"}},
            ("prompt_cache_key", "cachedContent")),
    Feature("cache control for all", {ANTHROPIC: {"cache_control": {"type": "ephemeral"}}}, ("cache_control",)),
    Feature("safety settings", {
        GEMINI: {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]},
        CHAT: {"safety_identifier": "u"}, RESPONSES: {"safety_identifier": "u"}, COHERE: {"safety_mode": "STRICT"},
    }, ("safetySettings", "safety_identifier", "safety_mode")),
    Feature("documents to answer from", {COHERE: {"documents": ["one"]}}, ("documents",)),
    Feature("container", {ANTHROPIC: {"container": "c_1"}}, ("container",)),
    Feature("context management", {
        ANTHROPIC: {"context_management": {"edits": []}}, RESPONSES: {"context_management": [{"type": "compaction"}]},
    }, ("context_management",)),
    Feature("truncation", {RESPONSES: {"truncation": "auto"}}, ("truncation",)),
    Feature("store", {CHAT: {"store": True}}, ("store",)),
    Feature("earlier answer by id", {RESPONSES: {"previous_response_id": "resp_1"}}, refused_at=("previous_response_id",)),
    Feature("conversation by id", {RESPONSES: {"conversation": "conv_1"}}, refused_at=("conversation",)),
    Feature("stored item by id", {RESPONSES: items(_ASKED, {"type": "item_reference", "id": "msg_1"})}, refused_at=("input.1",)),
    Feature("stored prompt", {RESPONSES: {"prompt": {"id": "pmpt_1"}}}, refused_at=("prompt",)),
    Feature("background", {RESPONSES: {"background": True}}, refused_at=("background",)),
)  # fmt: skip

EMBEDDED = (
    Feature("several texts", {
        EMBEDDINGS: {"input": ["one", "two"]}, COHERE_EMBED: {"texts": ["one", "two"]},
        GEMINI_EMBED: {"requests": [{"content": {"parts": [{"text": text}]}, "taskType": "RETRIEVAL_DOCUMENT"} for text in ("one", "two")]},
    }),
    Feature("tokens", {EMBEDDINGS: {"input": [1, 2]}}, refused_at=("*neither text nor*",)),
    Feature("image", {
        COHERE_EMBED: {"texts": None, "input_type": "image", "images": [f"data:image/png;base64,{PNG}"]},
        GEMINI_EMBED: {"requests": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}]}}]},
    }, ("input_type",), refused_at=("*what is no text",)),
    Feature("several parts in one vector", {
        COHERE_EMBED: {"texts": None, "inputs": [{"content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}]},
        GEMINI_EMBED: {"requests": [{"content": {"parts": [{"text": "one"}, {"text": "two"}]}, "taskType": "RETRIEVAL_DOCUMENT"}]},
    }, refused_at=("*what is no text", "*neither text nor*")),
    Feature("dimensions", {
        EMBEDDINGS: {"dimensions": 256}, COHERE_EMBED: {"output_dimension": 256},
        GEMINI_EMBED: {"requests": [
            {"content": {"parts": [{"text": "Hi"}]}, "taskType": "RETRIEVAL_DOCUMENT", "outputDimensionality": 256}]},
    }),
    Feature("base64", {EMBEDDINGS: {"encoding_format": "base64"}, COHERE_EMBED: {"embedding_types": ["base64"]}}),
    Feature("small integers", {COHERE_EMBED: {"embedding_types": ["int8"]}}, ("embedding_types",)),
    Feature("for a search query", {
        COHERE_EMBED: {"input_type": "search_query"},
        GEMINI_EMBED: {"requests": [{"content": {"parts": [{"text": "Hi"}]}, "taskType": "RETRIEVAL_QUERY"}]},
    }, ("input_type", "taskType")),
    Feature("for a purpose of one maker", {
        GEMINI_EMBED: {"requests": [{"content": {"parts": [{"text": "Hi"}]}, "taskType": "FACT_VERIFICATION"}]},
    }, ("taskType",)),
    Feature("cut where too long", {COHERE_EMBED: {"truncate": "END"}}, ("truncate",)),
    Feature("title", {
        GEMINI_EMBED: {"requests": [{"content": {"parts": [{"text": "Hi"}]}, "taskType": "RETRIEVAL_DOCUMENT", "title": "t"}]},
    }, ("*.title",)),
    Feature("user id of an embedding", {EMBEDDINGS: {"user": "u1"}}, ("user",)),
)  # fmt: skip
