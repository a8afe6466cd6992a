"""``trimtab place``: organisations, teams, projects."""

from __future__ import annotations

import click

from trimtab.cli.accounts.options import (
    given,
    limit_options,
    limits_of,
    limits_text,
    place_text,
    scope_of,
    scope_options,
    scope_text,
)
from trimtab.cli.common.gateway import call, every
from trimtab.cli.common.output import json_option, table, tell
from trimtab.server.admin.shapes import Page, PlaceView


@click.group()
def place() -> None:
    """Organisations, teams and projects: acme, acme/search, acme/search/chatbot."""


@place.command(name="list")
@click.option("--place", "under", help="Only this one and what is below it.")
@json_option
def list_places(under: str | None, as_json: bool) -> None:
    """Show the places that the key may see."""
    rows = every("/-/places", Page[PlaceView], {"place": under})
    shown = [(place_text(row.path), row.name, scope_text(row.scope), limits_text(row.limits), row.barred) for row in rows]
    tell(rows, as_json, table(("place", "name", "reaches", "limits", "takes no requests because"), shown))


@place.command()
@click.argument("path")
@click.option("--name", help="What people call it.")
@scope_options
@limit_options
@click.option("--reopen", is_flag=True, help="Take requests again.")
@json_option
def put(
    path: str,
    name: str | None,
    models: tuple[str, ...],
    tiers: tuple[str, ...],
    zones: tuple[str, ...],
    may_lower: bool,
    reopen: bool,
    as_json: bool,
    **limits: int | None,
) -> None:
    """Create the place PATH, or alter it.

    What is not given stays as it is. The options of a scope (model, tier, zone, may-lower) replace it whole, those of limits (rpm, tpm,
    concurrency) likewise. A key of the place reaches what every place above it allows as well.
    """
    body = given(
        name=name,
        scope=scope_of(models, tiers, zones, may_lower),
        limits=limits_of(limits),
        closed=False if reopen else None,
    )
    _show(call("PUT", f"/-/places/{path}", PlaceView, body=body), as_json)


@place.command()
@click.argument("path")
@json_option
def close(path: str, as_json: bool) -> None:
    """Close the place PATH: nothing there or below takes requests, and what was granted there counts for nothing."""
    _show(call("DELETE", f"/-/places/{path}", PlaceView), as_json)


def _show(row: PlaceView, as_json: bool) -> None:
    closed = f"; {row.barred}" if row.barred else ""
    tell(row, as_json, remark=f"{row.path}: reaches {scope_text(row.scope)}; limits {limits_text(row.limits)}{closed}.")
