from __future__ import annotations

import asyncio
import time

import pytest

from trimtab import catalog
from trimtab.core.errors import EgressRefused
from trimtab.local.discover import PLACES, Found, FoundModel, Place, Read, discover, parse_models, parse_tags
from trimtab.net import NetError, NetFailure

# As recorded from xllamacpp 2026.10, and as the other projects document or define theirs (see ``discover.py``), shortened.
LLAMA_CPP = b"""{"models":[{"name":"smol","model":"smol","modified_at":"","size":"","digest":"","type":"model","details":{"family":""}}],
"object":"list","data":[{"id":"smol","aliases":["smol"],"object":"model","created":1795353699,"owned_by":"llamacpp",
"meta":{"vocab_type":2,"n_vocab":49152,"n_ctx":2048,"n_ctx_train":8192,"n_embd":576}}]}"""
VLLM = b"""{"object":"list","data":[{"id":"Qwen/Qwen3-8B","object":"model","created":1747000000,"owned_by":"vllm","root":"Qwen/Qwen3-8B",
"parent":null,"max_model_len":40960,"permission":[{"id":"modelperm-1","object":"model_permission"}]}]}"""
SGLANG = b"""{"object":"list","data":[{"id":"qwen","object":"model","created":1747000000,"owned_by":"sglang","root":"qwen"}]}"""
LM_STUDIO = b"""{"data":[{"id":"qwen/qwen3-9b","object":"model","owned_by":"organization_owner"},
{"id":"text-embedding-nomic-embed-text-v1.5","object":"model","owned_by":"organization_owner"}],"object":"list"}"""
OLLAMA = b"""{"object":"list","data":[{"id":"llama3.2:latest","object":"model","created":1747000000,"owned_by":"library"}]}"""
OLLAMA_TAGS = b"""{"models":[{"name":"llama3.2:latest","model":"llama3.2:latest","modified_at":"2026-05-01T00:00:00Z","size":2019393189,
"digest":"a80c","details":{"format":"gguf","family":"llama","families":null,"parameter_size":"3.2B","quantization_level":"Q4_K_M"}},
{"name":"minilm:latest","model":"minilm:latest","size":1,"digest":"b","details":{"format":"gguf","family":"bert"}}]}"""

EVERYBODY = {
    ("found-11434", "/v1/models"): OLLAMA,
    ("found-11434", "/api/tags"): OLLAMA_TAGS,
    ("found-8000", "/v1/models"): VLLM,
    ("found-1234", "/v1/models"): LM_STUDIO,
    ("found-8080", "/v1/models"): LLAMA_CPP,
    ("found-30000", "/v1/models"): SGLANG,
}


def _reader(bodies: dict[tuple[str, str], bytes]) -> Read:
    async def read(place: str, path: str) -> bytes:
        if (place, path) not in bodies:
            raise NetError(NetFailure.CONNECT, place)
        return bodies[place, path]

    return read


async def test_each_is_told_by_what_it_says() -> None:
    assert (
        Found("ollama", "http://127.0.0.1:11434/v1", (FoundModel("llama3.2:latest"),)),
        Found("vllm", "http://127.0.0.1:8000/v1", (FoundModel("Qwen/Qwen3-8B", 40960),)),
        Found("lm-studio", "http://127.0.0.1:1234/v1", (FoundModel("qwen/qwen3-9b"),)),
        Found("llama.cpp", "http://127.0.0.1:8080/v1", (FoundModel("smol", 2048),)),
        Found("sglang", "http://127.0.0.1:30000/v1", (FoundModel("qwen"),)),
    ) == await discover(_reader(EVERYBODY))


async def test_what_is_found_has_its_row_and_address_in_the_catalog() -> None:
    for found in await discover(_reader(EVERYBODY)):
        assert catalog.providers()[found.provider].base_url == found.base_url


async def test_the_port_proves_nothing() -> None:
    moved = {
        ("found-8000", "/v1/models"): LLAMA_CPP,
        ("found-8080", "/v1/models"): VLLM,
        ("found-11434", "/v1/models"): b"<html>hello</html>",
    }
    assert [found.provider for found in sorted(await discover(_reader(moved)), key=lambda found: found.base_url, reverse=True)] == [
        "vllm",
        "llama.cpp",
    ]


async def test_nobody_there_is_nothing_found() -> None:
    assert await discover(_reader({})) == ()


async def test_who_does_not_answer_costs_its_limit_once() -> None:
    async def read(place: str, path: str) -> bytes:
        if place != "found-8000":
            await asyncio.sleep(60)
        return VLLM

    began = time.monotonic()
    assert [found.provider for found in await discover(read)] == ["vllm"]
    assert time.monotonic() - began < 3  # not 60, and not five times the limit; a busy machine has room


async def test_a_refusal_of_the_boundary_is_not_taken_for_an_empty_port() -> None:
    async def read(place: str, path: str) -> bytes:
        raise EgressRefused("not a configured receiver")

    with pytest.raises(EgressRefused):
        await discover(read, [Place("elsewhere", "http://127.0.0.1:1")])


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b'{"data":[]}', b'{"data":[{"id":1}]}', b'{"data":' + b"[" * 100_000, b"\xff"]
)
def test_a_strange_body_is_nobody(body: bytes) -> None:
    assert parse_models(body) is None
    assert parse_tags(body) is None


def test_an_openai_proxy_is_nobody() -> None:
    assert parse_models(b'{"object":"list","data":[{"id":"gpt-5","object":"model","owned_by":"openai"}]}') is None


def test_an_ollama_without_models_is_still_found() -> None:
    assert parse_tags(b'{"models":[]}') == ()


def test_every_place_is_on_this_machine() -> None:
    assert all(place.url.startswith("http://127.0.0.1:") for place in PLACES)
