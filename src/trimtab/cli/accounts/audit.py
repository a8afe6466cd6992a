"""``trimtab whoami`` and ``trimtab audit``: what the key may do, and who changed the accounts."""

from __future__ import annotations

import click

from trimtab.cli.accounts.options import limits_text, moment_text, money, place_text, scope_text
from trimtab.cli.common.gateway import call, every
from trimtab.cli.common.output import json_option, pairs, table, tell
from trimtab.server.admin.insight import AuditEntry, WhoAmI
from trimtab.server.admin.shapes import BudgetView, GrantView, KeyView, Page, PlaceView, ServiceAccountView, UserView


@click.command()
@json_option
def whoami(as_json: bool) -> None:
    """Show what the key may do, and what is left of its budgets."""
    me = call("GET", "/-/whoami", WhoAmI)
    rows: list[tuple[str, object]] = [
        ("holder", me.holder),
        ("name", me.name or None),
        ("owner", me.principal or None),
        ("asks for", None if me.place is None else place_text(me.place)),
        ("reaches", scope_text(me.scope)),
        ("limits", limits_text(me.limits)),
        ("ends", moment_text(me.expires_at)),
        *(("role", f"{role.role} at {place_text(role.place)}") for role in me.roles),
        *(("budget", f"{money(row.left_usd)} left of {money(row.limit_usd)} per {row.period} over {row.of}") for row in me.budgets),
    ]
    tell(me, as_json, pairs(rows))


@click.command()
@click.option("--after", help="The id of a change: only what came later.")
@click.option("--last", type=click.IntRange(1), default=50, show_default=True, help="How many to show, newest last.")
@json_option
def audit(after: str | None, last: int, as_json: bool) -> None:
    """Show who changed the accounts, as far as the key may read it."""
    rows = every("/-/audit", Page[AuditEntry], {"after": after})[-last:]
    shown = [(moment_text(row.at), row.actor, row.action, *_told(row), row.id) for row in rows]
    tell(rows, as_json, table(("at", "who", "did", "what", "", "id"), shown))


def _told(row: AuditEntry) -> tuple[str, str]:
    match row.entity:
        case PlaceView() as place:
            return f"place {place_text(place.path)}", "closed" if place.closed else scope_text(place.scope)
        case UserView() as user:
            return f"user:{user.id}", f"{user.email}{', disabled' if user.disabled else ''}"
        case ServiceAccountView() as account:
            return f"service_account:{account.id}", f"{place_text(account.place)}{', disabled' if account.disabled else ''}"
        case GrantView() as grant:
            return f"grant {grant.id}", f"{grant.holder} {grant.role} at {place_text(grant.place)}"
        case KeyView() as key:
            return f"key:{key.id}", f"{place_text(key.place)}{', revoked' if key.revoked_at else ''}"
        case BudgetView() as budget:
            return f"budget {budget.id}", f"{money(budget.limit_usd)} per {budget.period} over {budget.of}"
