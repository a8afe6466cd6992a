"""``trimtab ask``: put a question to the running gateway, print the answer and one line of why."""

from __future__ import annotations

import asyncio

import click
import msgspec

from trimtab.cli.common.gateway import reached
from trimtab.cli.common.output import json_option, note, print_json
from trimtab.cli.explain import why
from trimtab.core.errors import TrimtabError
from trimtab.core.record import Record


@click.command()
@click.argument("question")
@click.option(
    "--model", default="auto", show_default=True, help="A deployment, a model, or auto, auto:fast, auto:cheap, auto:best."
)
@click.option("--label", "labels", multiple=True, help="A sensitivity class that the question carries. May be given several times.")
@click.option("--max-tokens", default=300, show_default=True, help="The longest answer. A very small model may ramble on.")
@json_option
def ask(question: str, model: str, labels: tuple[str, ...], max_tokens: int, as_json: bool) -> None:
    """Ask the running gateway QUESTION, and say who answered and why."""
    answer, record = asyncio.run(_ask(question, model, labels, max_tokens))
    if as_json:
        print_json({"answer": answer, "record": record})
        return
    click.echo(answer)
    note(why(record))


async def _ask(question: str, model: str, labels: tuple[str, ...], max_tokens: int) -> tuple[str, Record]:
    body = {"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": question}]}
    headers = {"x-trimtab-sensitivity": ",".join(labels)} if labels else {}
    async with reached() as gateway:
        said = await gateway.exchange("POST", "/v1/chat/completions", body, headers)
        decision = said.headers.get("x-trimtab-decision", "")
        if said.status != 200:
            raise _refused(said.body, decision)
        record = await gateway.call("GET", f"/-/decisions/{decision}", Record)
    return msgspec.json.decode(said.body)["choices"][0]["message"]["content"] or "", record


def _refused(body: bytes, decision: str) -> TrimtabError:
    """The gateway's own words; its message already ends with the next step."""
    try:
        message = str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        message = "The gateway answered with an error that is no error body."
    return TrimtabError(message, hint=f"trimtab explain {decision}" if decision else "")
