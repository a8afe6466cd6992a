"""``trimtab key``: virtual keys. A key is printed once, by whoever makes it."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from trimtab.cli.accounts.options import (
    future,
    given,
    limit_options,
    limits_of,
    limits_text,
    moment_text,
    place_text,
    scope_of,
    scope_options,
    scope_text,
    span,
)
from trimtab.cli.common.gateway import call, every
from trimtab.cli.common.output import json_option, table, tell
from trimtab.server.admin.accounts import NewKeyView
from trimtab.server.admin.shapes import KeyView, Page


@click.group()
def key() -> None:
    """Virtual keys: what clients of the gateway present."""


@key.command(name="list")
@click.option("--place", help="Only those of this place or below.")
@click.option("--owner", help="Only those of user:ID or service_account:ID.")
@json_option
def list_keys(place: str | None, owner: str | None, as_json: bool) -> None:
    """Show the keys that the key may see, without the keys themselves."""
    rows = every("/-/keys", Page[KeyView], {"place": place, "owner": owner})
    shown = [
        (row.id, row.name, place_text(row.place), row.owner, scope_text(row.scope), limits_text(row.limits), _state(row))
        for row in rows
    ]
    tell(rows, as_json, table(("id", "name", "place", "owner", "reaches", "limits", "state"), shown))


@key.command()
@click.argument("place")
@click.option("--name", default="", help="What people call it.")
@click.option("--owner", help="service_account:ID, '' for nobody. Default: the owner of the key that asks.")
@scope_options
@limit_options
@click.option("--expires", "expires_at", type=future, help="When it ends: a moment, or a span such as 90d.")
@json_option
def create(
    place: str,
    name: str,
    owner: str | None,
    models: tuple[str, ...],
    tiers: tuple[str, ...],
    zones: tuple[str, ...],
    may_lower: bool,
    expires_at: str | None,
    as_json: bool,
    **limits: int | None,
) -> None:
    """Make a key for PLACE, and print it. It is not shown again.

    What is not given becomes the most that PLACE and the key that asks allow.
    """
    body = given(
        place=place,
        name=name,
        owner=owner,
        scope=scope_of(models, tiers, zones, may_lower),
        limits=limits_of(limits),
        expires_at=expires_at,
    )
    _show(call("POST", "/-/keys", NewKeyView, body=body), as_json)


@key.command()
@click.argument("id")
@click.option("--overlap", type=span, default="1d", show_default=True, help="For how long the old key still opens.")
@json_option
def rotate(id: str, overlap: float, as_json: bool) -> None:
    """Make a new key with the rights of the key ID, and print it."""
    _show(call("POST", f"/-/keys/{_bare(id)}/rotate", NewKeyView, body={"overlap_seconds": overlap}), as_json)


@key.command()
@click.argument("id")
@json_option
def revoke(id: str, as_json: bool) -> None:
    """Revoke the key ID: it opens nothing from now on."""
    row = call("DELETE", f"/-/keys/{_bare(id)}", KeyView)
    tell(row, as_json, remark=f"key:{row.id} is revoked.")


def _bare(id: str) -> str:
    return id.removeprefix("key:")


def _show(made: NewKeyView, as_json: bool) -> None:
    row = made.described
    ends = f"; until {moment_text(row.expires_at)}" if row.expires_at else ""
    old = f"\nThe old key opens until {moment_text(made.replaces.expires_at)}." if made.replaces else ""
    remark = (
        f"Keep it now: it is not shown again. key:{row.id} of {place_text(row.place)}; reaches {scope_text(row.scope)}; "
        f"limits {limits_text(row.limits)}{ends}.{old}"
    )
    tell(made, as_json, made.key, remark)


def _state(row: KeyView) -> str:
    if row.revoked_at is not None:
        return f"revoked {moment_text(row.revoked_at)}"
    if row.expires_at is None:
        return "open"
    return f"{'expired' if row.expires_at <= datetime.now(UTC) else 'until'} {moment_text(row.expires_at)}"
