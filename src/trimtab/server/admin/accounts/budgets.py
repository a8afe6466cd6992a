"""Budgets, with what is spent of them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from trimtab.core.accounts import Budget, Period
from trimtab.core.errors import Conflict
from trimtab.engine.access import Actor, Directory, Edit, Sight, rules
from trimtab.engine.limits.purse import CONFIG_BUDGET
from trimtab.server.admin.shapes import AtPlace, BudgetView, Money, Nothing, Page, nano, page
from trimtab.server.admin.table import Asked, operation
from trimtab.server.common.site import Site

Shares = Annotated[tuple[Annotated[float, Meta(gt=0, le=1000)], ...], Meta(max_length=20)]
_ALERTS = (0.8, 1.0)


class BudgetBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`alerts` are shares of the limit at which somebody is told, once a period."""

    of: Annotated[str, Meta(description="place:PATH, key:ID or tag:NAME; place: alone is the whole installation.")]
    limit_usd: Money
    period: Period = Period.MONTH
    hard: bool = True
    alerts: Shares = _ALERTS


class BudgetChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is. What a budget is over, and its period, do not change."""

    limit_usd: Money | None = None
    hard: bool | None = None
    alerts: Shares | None = None


async def budget_views(site: Site, budgets: Iterable[Budget]) -> list[BudgetView]:
    """Each with what is spent and held by all processes. One that was set a moment ago has no figures yet."""
    purse = site.gateway.purse
    await purse.refresh()  # at most once a second, however often somebody asks
    known, spending = {budget.id for budget in purse.budgets}, purse.spending()
    return [
        BudgetView.of_budget(
            budget,
            spending[budget.id] if budget.id in known else None,
            fixed=budget.id == CONFIG_BUDGET,
        )
        for budget in budgets
    ]


def fixed_budgets(site: Site) -> list[Budget]:
    """Those of the configuration file."""
    return [budget for budget in site.gateway.purse.budgets if budget.id == CONFIG_BUDGET]


async def list_budgets(asked: Asked[AtPlace, Nothing]) -> Page[BudgetView]:
    """Budgets, by id."""
    sight = asked.sight
    everything = [*sight.all(Budget), *(budget for budget in fixed_budgets(asked.site) if sight.sees(budget))]
    found = [budget for budget in everything if sight.within(budget, asked.query.place)]
    return page([(view.id, view) for view in await budget_views(asked.site, found)], asked.query)


async def get_budget(asked: Asked[Nothing, Nothing]) -> BudgetView:
    """One budget."""
    fixed = [budget for budget in fixed_budgets(asked.site) if budget.id == asked.target and asked.sight.sees(budget)]
    return await _view(asked.site, fixed[0] if fixed else asked.sight.find(Budget, asked.target, "budget"))


async def create_budget(asked: Asked[Nothing, BudgetBody]) -> BudgetView:
    """Set a budget. It holds for requests that come a second later, over all processes."""
    body, id = asked.body, asked.site.book.new_id()
    wanted = Budget(id=id, of=body.of, period=body.period, limit=nano(body.limit_usd), hard=body.hard, alerts=body.alerts)
    await asked.site.book.apply(asked.actor, partial(rules.put_budget, asked=wanted))
    return await _view(asked.site, asked.site.book.directory.now(Budget, id))


async def change_budget(asked: Asked[Nothing, BudgetChange]) -> BudgetView:
    """Change a budget's limit, hardness or alerts."""
    body, id = asked.body, asked.target
    _not_fixed(asked.site, asked.sight, id)
    limit = None if body.limit_usd is None else nano(body.limit_usd)

    def rule(directory: Directory, actor: Actor) -> tuple[Edit, ...]:
        return rules.change_budget(directory, actor, id, limit=limit, hard=body.hard, alerts=body.alerts)

    await asked.site.book.apply(asked.actor, rule)
    return await _view(asked.site, asked.site.book.directory.now(Budget, id))


async def remove_budget(asked: Asked[Nothing, Nothing]) -> BudgetView:
    """Remove a budget."""
    _not_fixed(asked.site, asked.sight, asked.target)
    (change,) = await asked.site.book.apply(asked.actor, partial(rules.remove_budget, id=asked.target))
    assert isinstance(change.entity, Budget)
    return BudgetView.of_budget(change.entity)


async def _view(site: Site, budget: Budget) -> BudgetView:
    return (await budget_views(site, [budget]))[0]


def _not_fixed(site: Site, sight: Sight, id: str) -> None:
    if any(budget.id == id and sight.sees(budget) for budget in fixed_budgets(site)):
        raise Conflict("This budget stands in the configuration.", hint="Change [budget] usd_per_day, and start the gateway again.")


_SEE = "to spend from it; manage_budgets or read_usage at its place"
_CHANGE = "manage_budgets at the place from which it was set"
_ONE = "/-/budgets/{id}"
BUDGETS = (
    operation("GET", "/-/budgets", list_budgets, query=AtPlace, body=Nothing, answer=Page[BudgetView], needs=_SEE),
    operation(
        "POST",
        "/-/budgets",
        create_budget,
        query=Nothing,
        body=BudgetBody,
        answer=BudgetView,
        status=201,
        needs="manage_budgets at the place, or at the key's; for a tag, everywhere",
    ),
    operation("GET", _ONE, get_budget, query=Nothing, body=Nothing, answer=BudgetView, needs=_SEE),
    operation("PATCH", _ONE, change_budget, query=Nothing, body=BudgetChange, answer=BudgetView, needs=_CHANGE),
    operation("DELETE", _ONE, remove_budget, query=Nothing, body=Nothing, answer=BudgetView, needs=_CHANGE),
)
