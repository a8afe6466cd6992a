"""``trimtab ledger``: is the event log whole, and what does it add up to?"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click

from trimtab.cli.common.home import Home
from trimtab.cli.common.output import json_option, pairs, print_json
from trimtab.core.errors import LedgerError
from trimtab.core.units import SECOND_NS, usd
from trimtab.store import Filter, SQLiteStore, Totals, VerifyReport

_A_MINUTE_NS = 60 * SECOND_NS


@click.group()
def ledger() -> None:
    """Verify the event log and add it up."""


@ledger.command()
@click.option("--ledger", "file", type=click.Path(path_type=Path), help="The ledger's file. Default: that of this folder.")
@json_option
def verify(file: Path | None, as_json: bool) -> None:
    """Re-derive every digest of every writer's chain, and name the first row that does not fit.

    Rows cut off the end of a chain are not found: that needs a digest kept elsewhere.
    """
    report, totals, unsettled = asyncio.run(_read(file or Home.find().ledger))
    if as_json:
        print_json({"report": report, "totals": totals, "unsettled": unsettled})
    else:
        click.echo(
            pairs(
                [
                    ("rows", report.rows),
                    ("writers", report.writers),
                    ("requests with an outcome", totals.requests),
                    ("complete", totals.complete),
                    ("cost", usd(totals.cost)),
                    ("of unknown cost", totals.cost_unknown),
                    ("without an outcome", len(unsettled)),
                    ("chain", "whole" if report.ok else report.reason),
                ]
            )
        )
    if not report.ok:
        where = f" First at {report.first_bad[0]}, row {report.first_bad[1]}." if report.first_bad else ""
        raise LedgerError(f"The event log is not whole: {report.reason}.{where}", hint="Compare it with a backup.")


async def _read(file: Path) -> tuple[VerifyReport, Totals, tuple[str, ...]]:
    store = await SQLiteStore.open(file, readonly=True)
    try:
        return await store.verify(), await store.totals(Filter()), await store.unsettled(time.time_ns() - _A_MINUTE_NS)
    finally:
        await store.aclose()
