"""``trimtab budget``: what may be spent, and what is left of it."""

from __future__ import annotations

import asyncio

import click

from trimtab.cli.accounts.options import given, money
from trimtab.cli.common.gateway import call, every, reached
from trimtab.cli.common.output import json_option, table, tell
from trimtab.core.accounts import Period
from trimtab.server.admin.shapes import BudgetView, KeyView, Page


@click.group()
def budget() -> None:
    """What may be spent by day or month, by place, key or tag."""


@budget.command(name="list")
@click.option("--place", help="Only those over this place, or over what is below it.")
@json_option
def list_budgets(place: str | None, as_json: bool) -> None:
    """Show the budgets that the key may see, and what is left of them."""
    rows = every("/-/budgets", Page[BudgetView], {"place": place})
    shown = [
        (row.id, row.of, row.period, *map(money, (row.limit_usd, row.spent_usd, row.held_usd, row.left_usd)), _kind(row))
        for row in rows
    ]
    tell(rows, as_json, table(("id", "over", "per", "limit", "spent", "held", "left", ""), shown))


@budget.command(name="set")
@click.argument("of")
@click.option("--usd", type=click.FloatRange(0), required=True, help="The limit.")
@click.option(
    "--per",
    type=click.Choice([period.value for period in Period]),
    default=Period.MONTH.value,
    show_default=True,
    help="Calendar periods in UTC.",
)
@click.option("--soft", is_flag=True, help="Only tell, refuse nothing.")
@click.option(
    "--alert", "alerts", multiple=True, type=click.FloatRange(0, min_open=True), help="A share to tell at. Several times."
)
@json_option
def set_budget(of: str, usd: float, per: str, soft: bool, alerts: tuple[float, ...], as_json: bool) -> None:
    """Set a budget over OF: place:acme/search, key:ID or tag:NAME; 'place:' is everything.

    Where there is one over OF for the same period that is as hard or as soft, it is changed. A key stands for all its rotations.
    """
    row = asyncio.run(_set(of, given(limit_usd=usd, alerts=alerts or None), Period(per), hard=not soft))
    remark = f"{money(row.limit_usd)} per {row.period} over {row.of}{'' if row.hard else ', soft'}. It holds within a second."
    tell(row, as_json, row.id, remark)


async def _set(of: str, terms: dict[str, object], period: Period, *, hard: bool) -> BudgetView:
    kind, _, id = of.partition(":")
    async with reached() as gateway:
        if kind == "key" and id and "/" not in id:  # what is no id is left for the gateway to refuse
            of = f"key:{(await gateway.call('GET', f'/-/keys/{id}', KeyView)).line}"
        for row in await gateway.every("/-/budgets", Page[BudgetView]):
            if (row.of, row.period, row.hard, row.fixed) == (of, period, hard, False):
                return await gateway.call("PATCH", f"/-/budgets/{row.id}", BudgetView, body=terms)
        return await gateway.call("POST", "/-/budgets", BudgetView, body={"of": of, "period": period, "hard": hard, **terms})


@budget.command(name="remove")
@click.argument("id")
@json_option
def remove_budget(id: str, as_json: bool) -> None:
    """Remove the budget ID."""
    row = call("DELETE", f"/-/budgets/{id}", BudgetView)
    tell(row, as_json, remark=f"{money(row.limit_usd)} per {row.period} over {row.of} is removed.")


def _kind(row: BudgetView) -> str:
    return ", ".join([*([] if row.hard else ["soft"]), *(["in the configuration"] if row.fixed else [])])
