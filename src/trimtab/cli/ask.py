"""``trimtab ask``: put a question to the running gateway, print the answer and one line of why."""

from __future__ import annotations

import asyncio

import click
import msgspec

from trimtab.cli.common.home import Home
from trimtab.cli.common.output import json_option, note, print_json
from trimtab.cli.explain import why
from trimtab.core.errors import ConfigError, TrimtabError
from trimtab.core.record import Record
from trimtab.core.zones import Boundary, Secret, Sensitivity
from trimtab.net import Egress, NetError, Receiver, Receivers

_GATEWAY = "gateway"
_CARRIED = frozenset({Sensitivity.UNREADABLE})
"""What is asked is not read here; the gateway on the other side reads it. The gateway's own zone admits everything."""


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
    home = Home.find()
    running, key = home.running(), home.key()
    if key is None:
        raise ConfigError("There is no key for this gateway.", hint="Set TRIMTAB_API_KEY, or start the gateway with 'trimtab up'.")
    boundary = Boundary(zones=("here",), outermost=dict.fromkeys(Sensitivity, "here"))
    receiver = Receiver(id=_GATEWAY, base_url=running.url, zone="here", headers={"authorization": Secret(f"Bearer {key}")})
    egress = Egress(Receivers(boundary, [receiver]))
    body = msgspec.json.encode({"model": model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": question}]})
    headers = {"content-type": "application/json"} | ({"x-trimtab-sensitivity": ",".join(labels)} if labels else {})
    try:
        async with egress.post(
            _GATEWAY, "/v1/chat/completions", body, carried=_CARRIED, headers=headers, connect_timeout=5
        ) as answer:
            said, status = await answer.read(1 << 26), answer.status
            decision = answer.headers.get("x-trimtab-decision", "")
        if status != 200:
            raise _refused(said, decision)
        async with egress.get(_GATEWAY, f"/-/decisions/{decision}", carried=_CARRIED, headers={}, connect_timeout=5) as answer:
            record = msgspec.json.decode(await answer.read(1 << 26), type=Record)
    except NetError as error:
        raise ConfigError(f"No gateway answers at {running.url} ({error}).", hint="Start one with 'trimtab up'.") from None
    finally:
        await egress.aclose()
    return msgspec.json.decode(said)["choices"][0]["message"]["content"] or "", record


def _refused(body: bytes, decision: str) -> TrimtabError:
    """The gateway's own words; its message already ends with the next step."""
    try:
        message = str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        message = "The gateway answered with an error that is no error body."
    return TrimtabError(message, hint=f"trimtab explain {decision}" if decision else "")
