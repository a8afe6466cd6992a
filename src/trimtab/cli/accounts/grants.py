"""``trimtab grant``: who holds which role where."""

from __future__ import annotations

import click

from trimtab.cli.accounts.options import moment_text, place_text
from trimtab.cli.common.gateway import call, every
from trimtab.cli.common.output import json_option, table, tell
from trimtab.core.accounts import Role
from trimtab.server.admin.shapes import GrantView, Page


@click.group()
def grant() -> None:
    """Roles: admin, operator, analyst, member, each at a place and below."""


@grant.command(name="list")
@click.option("--place", help="Only those at this place or below.")
@click.option("--holder", help="Only those of user:ID, service_account:ID or key:ID.")
@json_option
def list_grants(place: str | None, holder: str | None, as_json: bool) -> None:
    """Show the grants that the key may see."""
    rows = every("/-/grants", Page[GrantView], {"place": place, "holder": holder})
    shown = [(row.id, row.holder, row.role, place_text(row.place), moment_text(row.created_at)) for row in rows]
    tell(rows, as_json, table(("id", "holder", "role", "at", "since"), shown))


@grant.command(name="add")
@click.argument("holder")
@click.argument("role", type=click.Choice([role.value for role in Role]))
@click.argument("place")
@json_option
def add_grant(holder: str, role: str, place: str, as_json: bool) -> None:
    """Give HOLDER the ROLE at PLACE and below. '' is the whole installation.

    HOLDER is user:ID, service_account:ID or key:ID.
    """
    row = call("POST", "/-/grants", GrantView, body={"holder": holder, "role": role, "place": place})
    tell(row, as_json, row.id, f"{row.holder} is {row.role} at {place_text(row.place)}.")


@grant.command(name="remove")
@click.argument("id")
@json_option
def remove_grant(id: str, as_json: bool) -> None:
    """Take back the grant ID."""
    row = call("DELETE", f"/-/grants/{id}", GrantView)
    tell(row, as_json, remark=f"{row.holder} is no longer {row.role} at {place_text(row.place)}.")
