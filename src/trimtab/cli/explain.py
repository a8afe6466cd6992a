"""``trimtab explain``: why a request went where it went, and what it cost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from trimtab.cli.common.home import Home
from trimtab.cli.common.output import json_option, pairs, print_json, table
from trimtab.core.decision import Decision
from trimtab.core.errors import ConfigError
from trimtab.core.record import Attempt, Record
from trimtab.core.units import usd
from trimtab.routing import words
from trimtab.store import SQLiteStore


@click.command()
@click.argument("id", default="last")
@click.option("--ledger", type=click.Path(path_type=Path), help="The ledger's file. Default: that of this folder.")
@json_option
def explain(id: str, ledger: Path | None, as_json: bool) -> None:
    """Show the whole decision behind a response.

    ID is the response header x-trimtab-decision, or 'last' for the newest.
    """
    record = asyncio.run(_read(ledger or Home.find().ledger, id))
    if as_json:
        print_json(record.public())
        return
    click.echo(page(record))


async def _read(ledger: Path, id: str) -> Record:
    store = await SQLiteStore.open(ledger, readonly=True)
    try:
        record = await store.last() if id == "last" else await store.get(id)
    finally:
        await store.aclose()
    if record is None and id == "last":
        raise ConfigError("The ledger is empty: nothing was asked yet.", hint="Ask something: trimtab ask 'Say hello.'")
    if record is None:
        raise ConfigError(f"The ledger knows no decision {id!r}.", hint="The id is in the response header x-trimtab-decision.")
    return record


def page(record: Record) -> str:
    """The record as a person reads it, from the question to the bill."""
    decision = record.intent.decision
    ask, signals = decision.ask, decision.signals
    tokens = f"{signals.input_tokens}{'' if signals.tokens_exact else ' (estimated)'} in, {signals.output_tokens} expected out"
    head = pairs(
        [
            ("decision", record.intent.id),
            ("asked for", ask.named or ask.wish),
            ("latency class", ask.latency),
            ("sensitivity", signals.sensitivity),
            ("complexity", f"{signals.complexity:.2f}"),
            ("tokens", tokens),
            ("needs", signals.needs),
            ("policy", decision.policy[:12]),
            *((f"- {name}", text) for name, text in signals.evidence),
        ]
    )
    return "\n\n".join([head, _choices(decision), _attempts(record), _bill(record)])


def _choices(decision: Decision) -> str:
    rows = words.rows(decision)
    text = table(
        ("deployment", "verdict", "expected", "because"), [(r.deployment, r.verdict, r.expected, r.parts or r.reason) for r in rows]
    )
    assumed = sorted({row.reason for row in rows if row.parts and row.reason})
    return "\n".join([text, *(f"assumed: {sentence}" for sentence in assumed)])


def _attempts(record: Record) -> str:
    attempts = record.outcome.attempts if record.outcome else ()
    return table(
        ("attempt", "answered as", "tier", "zone", "result", "first token", "total", "tokens", "cost"), map(_attempt, attempts)
    )


def _attempt(attempt: Attempt) -> tuple[object, ...]:
    failed = None if attempt.failure is None else f"{attempt.failure}{f' ({attempt.detail})' if attempt.detail else ''}"
    usage = attempt.usage
    tokens = f"{usage.input} + {usage.output}{' est.' if usage.estimated else ''}"
    times = [None if micros is None else f"{micros / 1000:.0f} ms" for micros in (attempt.first_token_us, attempt.total_us)]
    return (
        attempt.deployment,
        attempt.model,
        attempt.tier,
        attempt.zone,
        failed or attempt.finish_reason,
        *times,
        tokens,
        usd(attempt.cost),
    )


def _bill(record: Record) -> str:
    if record.outcome is None:
        return "The outcome is not known: the request is under way, or the process died while it was."
    priced = {attempt.price_version for attempt in record.outcome.attempts if attempt.price_version}
    lost = sorted({field for attempt in record.outcome.attempts for field in attempt.lost})
    rows: list[tuple[str, object]] = [
        ("outcome", record.outcome.kind),
        ("cost", usd(record.outcome.cost)),
        ("price list", ", ".join(sorted(priced)) or None),
    ]
    if lost:
        rows.append(("could not carry", ", ".join(lost)))
    if record.outcome.error:
        rows.append(("error", record.outcome.error))
    return pairs(rows)


def why(record: Record) -> str:
    """One line: who answered, and what spoke for it."""
    decision, outcome = record.intent.decision, record.outcome
    answered = outcome.attempts[-1] if outcome and outcome.attempts else None
    if answered is None:
        return f"nobody answered; trimtab explain {record.intent.id}"
    classes = ", ".join(sorted(decision.signals.sensitivity))
    refused = len(decision.rejected)
    considered = len(decision.plan) + len(decision.spare)
    failed = [f"{attempt.deployment} failed ({attempt.failure})" for attempt in outcome.attempts[:-1]] if outcome else []
    after = f", after {', '.join(failed)}" if failed else ""
    return (
        f"{answered.deployment} ({answered.tier}, zone {answered.zone}): best of {considered} admitted, {refused} not{after}; "
        f"data {classes}, complexity {decision.signals.complexity:.2f}; cost {usd(answered.cost)}; trimtab explain {record.intent.id}"
    )
