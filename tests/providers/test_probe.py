"""What ``trimtab providers check`` says of doors that work, and which of address, key and model it blames where they do not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.conformance.test_providers import AWS, KEY
from tests.net.upstream import upstream
from tests.providers.doors import saying

from trimtab.catalog import ProviderRow, providers
from trimtab.cli import cli
from trimtab.core.catalog import Deployment, ModelCard, Tier
from trimtab.core.messages import Dialect, Operation
from trimtab.core.zones import Boundary, Sensitivity
from trimtab.lab.faults import FAILURES, FaultyUpstream, Oblige, Status, nobody, speak
from trimtab.lab.upstream import Answer
from trimtab.net import Egress, Receivers
from trimtab.providers.probe import HELLO, SKY, TIME, Finding, Probe
from trimtab.providers.receivers import register
from trimtab.providers.registry import provider_for

ANYONE = Boundary(zones=("any",), outermost={Sensitivity.PUBLIC: "any"})


@asynccontextmanager
async def probe_of(
    name: str, url: str, *, model: str = "lab-model", operations: frozenset[Operation] = frozenset({Operation.CHAT})
) -> AsyncIterator[Probe]:
    row: ProviderRow = providers()[name]
    model = f"lab/{model}" if row.dialect is Dialect.REPLICATE and model else model
    deployment = Deployment(
        id="d",
        model=model,
        card=ModelCard(name=model, operations=operations),
        provider=name,
        dialect=row.dialect,
        tier=Tier.MANAGED,
        zone="any",
        base_url=url,
    )
    egress = Egress(Receivers(ANYONE, []))
    register(egress, deployment, row, [AWS if row.auth == "aws_sigv4" else KEY])
    try:
        yield Probe(egress, provider_for(row, egress), row, deployment)
    finally:
        await egress.aclose()


def verdicts(findings: list[Finding]) -> dict[str, bool | None]:
    return {finding.what: finding.works for finding in findings}


BY_PROTOCOL = [
    "openai",
    "azure",
    "anthropic",
    "gemini",
    "cohere",
    "bedrock",
    "bedrock-anthropic",
    "vertex",
    "vertex-anthropic",
    "vllm",
]


@pytest.mark.parametrize("name", BY_PROTOCOL)
async def test_a_door_that_works_works_in_every_respect(name: str) -> None:
    async with FaultyUpstream(Oblige()) as there, probe_of(name, there.url) as probe:
        found = verdicts(await probe.everything())
    natively = {f"{dialect}, natively" for dialect in providers()[name].also if dialect.operation is Operation.CHAT}
    asked = {"key", "chat", "stream", "tools", "structured output", "usage"} | natively
    assert {what for what, works in found.items() if works} >= asked
    assert False not in found.values()
    texts = [exchange.request.body.decode() for exchange in there.exchanges if exchange.request.method == "POST"]
    assert all(any(text in body for text in (HELLO, TIME, SKY)) for body in texts), "nothing else is ever said"


@pytest.mark.parametrize("name, operation", [("openai", "embeddings"), ("gemini", "embeddings"), ("cohere", "embeddings")])
async def test_a_model_that_embeds_is_asked_to_embed(name: str, operation: str) -> None:
    async with FaultyUpstream() as there, probe_of(name, there.url, operations=frozenset({Operation(operation)})) as probe:
        found = await probe.everything()
    assert found[-1] == Finding("embeddings", True, "8 dimensions.")


async def test_what_costs_more_than_a_word_is_not_tried() -> None:
    asked = frozenset({Operation.IMAGE_GENERATION, Operation.TRANSCRIPTION})
    async with FaultyUpstream() as there, probe_of("openai", there.url, operations=asked) as probe:
        found = verdicts(await probe.everything())
        assert (await probe.key()).works is None
    assert (found["image_generation"], found["transcription"]) == (None, None)
    assert all(exchange.request.method == "GET" for exchange in there.exchanges)


async def test_replicate_says_what_it_cannot() -> None:
    async with FaultyUpstream(Oblige()) as there, probe_of("replicate", there.url) as probe:
        found = {finding.what: finding for finding in await probe.everything()}
    assert (found["chat"].works, found["stream"].works, found["tools"].works) == (True, False, False)
    assert "came whole" in found["stream"].said


# -- who is to blame


async def blamed(name: str, url: str, **fields: str) -> Finding:
    async with probe_of(name, url, **fields) as probe:  # type: ignore[arg-type]
        [last] = [finding for finding in await probe.everything() if finding.works is False]
    return last


async def test_nobody_there_is_a_wrong_address() -> None:
    with nobody() as url:
        for name in ("openai", "bedrock"):
            found = await blamed(name, url)
            assert (found.what, found.said) == ("address", f"Nobody answers at {url} (connect).")
            assert "Check base_url" in found.then


@pytest.mark.parametrize("said", [b"<html>Welcome</html>", b'{"detail":"Not Found"}'])
async def test_somebody_else_there_is_a_wrong_address(said: bytes) -> None:
    media = "text/html" if said.startswith(b"<") else "application/json"
    status = "200 OK" if said.startswith(b"<") else "404 Not Found"
    async with upstream(saying(said, status, content_type=media)) as there:
        found = await blamed("openai", f"http://127.0.0.1:{there.port}")
    assert found.what == "address"
    assert "does not speak openai_chat there" in found.said
    assert "such as https://api.openai.com/v1" in found.then


@pytest.mark.parametrize("name", [f"{name}.credential" for name in ("openai", "anthropic", "gemini", "cohere", "bedrock")])
async def test_a_refused_key_is_a_wrong_key(name: str) -> None:
    provider = name.partition(".")[0]
    async with FaultyUpstream(FAILURES[name]) as there:
        found = await blamed(provider, there.url)
    assert found.what == "key"
    assert "is refused" in found.said
    assert providers()[provider].key_env in found.then
    assert KEY.key.reveal() not in repr(found)


async def test_a_list_that_refuses_the_key_is_enough() -> None:
    async with upstream(saying({"error": {"message": "no"}}, "401 Unauthorized")) as there:
        found = await blamed("openai", f"http://127.0.0.1:{there.port}")
        assert len(there.seen) == 1
    assert found.what == "key"


@pytest.mark.parametrize("name", ["openai.model_gone", "anthropic.model_gone", "gemini.model_gone", "bedrock.model_gone"])
async def test_a_missing_model_is_a_missing_model(name: str) -> None:
    async with FaultyUpstream(FAILURES[name]) as there:
        found = await blamed(name.partition(".")[0], there.url, model="fault:toolz")
    assert found.what == "model"
    assert "The key is good" in found.said


async def test_a_missing_model_is_likened_to_those_that_are_there() -> None:
    async with FaultyUpstream() as there:
        found = await blamed("openai", there.url, model="fault:toolz")
    assert "known there: fault:tools" in found.then


async def test_no_model_is_no_guess() -> None:
    async with FaultyUpstream() as there, probe_of("openai", there.url, model="") as probe:
        found = (await probe.everything())[-1]
    assert (found.what, found.works) == ("model", None)
    assert found.then.startswith("Name one with --model; known there: fault:")
    assert len(there.exchanges) == 1


async def test_an_empty_account_and_a_hurry_are_told_apart() -> None:
    for name, said in (
        ("openai.quota", "The account is empty"),
        ("openai.rate_limit", "Too many requests"),
        ("openai.overloaded", "503"),
    ):
        async with FaultyUpstream(FAILURES[name]) as there:
            found = await blamed("openai", there.url)
        assert (found.what, said in found.said) == ("chat", True), found


async def test_usage_tools_and_schemas_that_do_not_come_are_said() -> None:
    async with FaultyUpstream(speak(Answer(text=("words",)), usage=False)) as there, probe_of("openai", there.url) as probe:
        found = {finding.what: finding for finding in await probe.everything()}
    assert [found[what].works for what in ("chat", "tools", "structured output", "usage")] == [True, False, False, False]
    assert found["usage"].said == "Not reported with whole answers and streams."


# -- the verb


CONFIG = """
[[deployment]]
id = "home"
provider = "openai"
model = "lab-model"
base_url = "{url}/v1"
api_keys = ["env:A", "env:B"]
"""


async def run(folder: Path, *args: str) -> tuple[int, str]:
    env = {"A": "sk-lab-a-0123456789", "B": "sk-lab-b-0123456789", "TRIMTAB_CONFIG": str(folder / "t.toml")}
    result = await asyncio.to_thread(CliRunner().invoke, cli, args, env=env, catch_exceptions=False)
    return result.exit_code, result.output


async def test_a_deployment_is_checked_key_by_key(tmp_path: Path) -> None:
    async with FaultyUpstream(Oblige()) as there:
        (tmp_path / "t.toml").write_text(CONFIG.format(url=there.url))
        code, said = await run(tmp_path, "providers", "check", "home")
        shown = {exchange.request.headers["authorization"][-18:] for exchange in there.exchanges}
    assert (code, shown) == (0, {"k-lab-a-0123456789", "k-lab-b-0123456789"})
    assert HELLO in said, "what will be sent is said before"
    assert [line.split()[:2] for line in said.splitlines()][-1] == ["key", "2"]


async def test_a_failure_is_the_exit_status_and_json_is_json(tmp_path: Path) -> None:
    async with FaultyUpstream(Status(401, b"{}")) as there:
        (tmp_path / "t.toml").write_text(CONFIG.format(url=there.url))
        code, said = await run(tmp_path, "providers", "check", "home", "--json")
    findings = json.loads(said[said.index("{\n") :])["findings"]
    assert (code, [each["what"] for each in findings if each["works"] is False]) == (1, ["key", "key 2"])
    assert "sk-lab" not in said


async def test_what_cannot_be_checked_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('[[local]]\nid = "l"\nweights = "smollm2-135m-instruct"\n')
    for name, hint in (("l", "trimtab up"), ("azure", "providers.md"), ("nope", "There are: anthropic")):
        with pytest.raises(Exception, match=hint):
            await run(tmp_path, "providers", "check", name)
    code, said = await run(tmp_path, "providers", "list")
    assert (code, all(name in said for name in providers())) == (0, True)
