"""``trimtab usage``: what was used, by any dimension; from the running gateway, or straight from the ledger's file."""

from __future__ import annotations

import asyncio
import csv
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from trimtab.cli.accounts.options import money, past
from trimtab.cli.common.gateway import Query, Unreachable, reached
from trimtab.cli.common.home import Home
from trimtab.cli.common.output import json_option, note, print_json, table
from trimtab.core.accounts import Budget
from trimtab.core.errors import ConfigError
from trimtab.engine.limits.purse import period_start
from trimtab.server.admin.shapes import BudgetView, Page
from trimtab.server.admin.usage import Covered, Sums, UsageGroup, UsageReport, groups, wanted
from trimtab.store import Dimension, SQLiteStore

_PLACES = (Dimension.PLACE, Dimension.ORGANISATION, Dimension.TEAM, Dimension.PROJECT)
_FIELDS = ("requests", "complete", "input_tokens", "output_tokens", "cost_usd", "cost_unknown")


class Told(Struct, frozen=True):
    """What is printed."""

    by: tuple[Dimension, ...]
    covered: Covered
    totals: Sums
    groups: tuple[UsageGroup, ...]
    budgets: tuple[BudgetView, ...]


def dimensions(text: str) -> tuple[Dimension, ...]:
    """Names with commas between them."""
    try:
        return tuple(dict.fromkeys(Dimension(word.strip()) for word in text.split(",") if word.strip()))
    except ValueError:
        raise click.BadParameter(f"{text!r}: the dimensions are {', '.join(Dimension)}.") from None


@click.command()
@click.option(
    "--by", type=dimensions, default="model", show_default=True, help="Dimensions with commas, such as team,model or day."
)
@click.option("--since", type=past, default="30d", show_default=True, help="A moment, a date, or a span such as 7d.")
@click.option("--until", type=past, help="Requests that started before.")
@click.option("--place", help="Requests from this place or below.")
@click.option("--key", help="Requests with the key of this id.")
@click.option("--owner", help="Requests with keys of user:ID or service_account:ID.")
@click.option("--tag", help="Requests with this tag.")
@click.option("--deployment", help="Requests that tried this deployment.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option(
    "--ledger",
    type=click.Path(path_type=Path),
    help="Read this file, whatever runs. Default: ask the gateway; without one, this folder's.",
)
@json_option
def usage(
    by: tuple[Dimension, ...],
    since: str,
    until: str | None,
    place: str | None,
    key: str | None,
    owner: str | None,
    tag: str | None,
    deployment: str | None,
    as_csv: bool,
    ledger: Path | None,
    as_json: bool,
) -> None:
    """Show requests, tokens and cost by any dimension, and what is left of a budget where a row has one.

    The gateway shows what its key may see: all of it, a place, or one's own.
    """
    asked = {"since": since, "until": until, "place": place, "key": key, "owner": owner, "tag": tag, "deployment": deployment}
    told = asyncio.run(_told(by, asked, ledger))
    if as_json:
        print_json(told)
    elif as_csv:
        rows = csv.writer(sys.stdout, lineterminator="\n")
        rows.writerow([*by, *_FIELDS])
        rows.writerows([[*_words(group, by), *(getattr(group.sums, name) for name in _FIELDS)] for group in told.groups])
    else:
        click.echo(_page(told))
        note(f"since {since}{f', until {until}' if until else ''}")


async def _told(by: tuple[Dimension, ...], asked: Query, ledger: Path | None) -> Told:
    if ledger is None:
        try:
            return await _ask(by, asked)
        except ConfigError as error:
            file = Home.find().ledger
            # A gateway that refuses is not gone around: only where none answers is the file read.
            if not file.exists() or not (isinstance(error, Unreachable) or _nobody_runs()):
                raise
            note(f"No gateway answers; read from {file}.")
            ledger = file
    return await _read(by, asked, ledger)


def _nobody_runs() -> bool:
    try:
        Home.find().running()
    except ConfigError:
        return True
    return False


async def _ask(by: tuple[Dimension, ...], asked: Query) -> Told:
    found: list[UsageGroup] = []
    after: str | None = None
    async with reached() as gateway:
        while True:
            query = {**asked, "by": ",".join(by), "limit": "1000", "after": after}
            report = await gateway.call("GET", "/-/usage", UsageReport, query=query)
            found += report.data
            if not report.has_more:
                break
            after = report.next_after
        budgets = await gateway.every("/-/budgets", Page[BudgetView])
    return Told(by, report.covered, report.totals, tuple(found), tuple(budgets))


async def _read(by: tuple[Dimension, ...], asked: Query, ledger: Path) -> Told:
    """Whoever can read the file may read all of it."""
    covered = msgspec.convert(asked, Covered)
    where = wanted(covered)
    store = await SQLiteStore.open(ledger, readonly=True)
    try:
        totals, rows = await store.totals(where), await store.usage(where, by) if by else ()
        budgets = [entity for entity in (await store.directory())[1] if isinstance(entity, Budget)]
        accounts = {budget.id: (budget.id, period_start(budget.period, time.time_ns())) for budget in budgets}
        spending = await store.spending(list(accounts.values()))
    finally:
        await store.aclose()
    views = tuple(BudgetView.of_budget(budget, spending[accounts[budget.id]]) for budget in budgets)
    return Told(by, covered, Sums.of(totals), groups(by, rows), views)


def _page(told: Told) -> str:
    rows: list[Sequence[object]] = [
        (*(word or "-" for word in _words(group, told.by)), *_cells(group.sums), _left(told, _subjects(group, told.by)))
        for group in told.groups
    ]
    total = ["total", *("" for _ in told.by[1:])] if told.by else []
    rows.append((*total, *_cells(told.totals), _left(told, _whole(told.covered))))
    headers = (*told.by, "requests", "complete", "tokens in", "tokens out", "cost", "cost unknown", "budget left")
    return table(headers, rows)


def _cells(sums: Sums) -> tuple[object, ...]:
    """Money that is not known whole is at least this much."""
    cost = f"{'>= ' if sums.cost_unknown else ''}{money(sums.cost_usd)}"
    tokens = f"{sums.input_tokens:,}", f"{sums.output_tokens:,}"
    return f"{sums.requests:,}", f"{sums.complete:,}", *tokens, cost, sums.cost_unknown or ""


def _words(group: UsageGroup, by: tuple[Dimension, ...]) -> list[str]:
    return [group.by[dimension.value] for dimension in by]


def _subjects(group: UsageGroup, by: tuple[Dimension, ...]) -> set[str]:
    """What a budget over this row is written for."""
    found = set[str]()
    for dimension, word in zip(by, _words(group, by), strict=True):
        if word and dimension in _PLACES:
            found.add(f"place:{word}")
        elif word and dimension in (Dimension.KEY, Dimension.TAG):
            found.add(f"{dimension}:{word}")
    return found


def _whole(covered: Covered) -> set[str]:
    """What a budget over the total is written for: nothing where the total is cut out by what no budget goes by."""
    if covered.owner is not None or covered.deployment is not None:
        return set()
    named = {f"{kind}:{name}" for kind, name in (("key", covered.key), ("tag", covered.tag)) if name is not None}
    return named or {f"place:{covered.place or ''}"}


def _left(told: Told, subjects: set[str]) -> str:
    """Of the budget that leaves least."""
    over = [row for row in told.budgets if row.of in subjects and row.left_usd is not None]
    tightest = min(over, key=lambda row: row.left_usd or 0.0, default=None)
    return "" if tightest is None else f"{money(tightest.left_usd)} of {money(tightest.limit_usd)} this {tightest.period}"
