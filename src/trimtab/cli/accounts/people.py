"""``trimtab user`` and ``trimtab service-account``."""

from __future__ import annotations

import click

from trimtab.cli.accounts.options import moment_text, place_text
from trimtab.cli.common.gateway import call, every
from trimtab.cli.common.output import json_option, note, print_json, table
from trimtab.server.admin.shapes import Page, ServiceAccountView, UserView


@click.group()
def user() -> None:
    """People who sign in, or who own keys."""


@user.command(name="list")
@json_option
def list_users(as_json: bool) -> None:
    """Show the users that the key may see."""
    rows = every("/-/users", Page[UserView])
    if as_json:
        print_json(rows)
        return
    click.echo(
        table(
            ("id", "e-mail", "name", "signed in", "disabled", "since"),
            [
                (f"user:{row.id}", row.email, row.name, _yes(row.signed_in), _yes(row.disabled), moment_text(row.created_at))
                for row in rows
            ],
        )
    )


@user.command(name="add")
@click.argument("email")
@click.option("--name", default="", help="What people call them.")
@json_option
def add_user(email: str, name: str, as_json: bool) -> None:
    """Let in whoever signs in with EMAIL. They have no rights until they are granted a role."""
    row = call("POST", "/-/users", UserView, body={"email": email, "name": name})
    _made(row, as_json, f"trimtab grant add user:{row.id} member PLACE")


@user.command(name="disable")
@click.argument("id")
@json_option
def disable_user(id: str, as_json: bool) -> None:
    """Take all rights from the user ID, and close their keys."""
    _changed(call("PATCH", f"/-/users/{id.removeprefix('user:')}", UserView, body={"disabled": True}), as_json)


@user.command(name="enable")
@click.argument("id")
@json_option
def enable_user(id: str, as_json: bool) -> None:
    """Give the user ID back what they had."""
    _changed(call("PATCH", f"/-/users/{id.removeprefix('user:')}", UserView, body={"disabled": False}), as_json)


@click.group(name="service-account")
def service_account() -> None:
    """Programs that act for themselves, by keys that they own."""


@service_account.command(name="list")
@click.option("--place", help="Only those at home there or below.")
@json_option
def list_service_accounts(place: str | None, as_json: bool) -> None:
    """Show the service accounts that the key may see."""
    rows = every("/-/service-accounts", Page[ServiceAccountView], {"place": place})
    if as_json:
        print_json(rows)
        return
    click.echo(
        table(
            ("id", "place", "name", "disabled", "since"),
            [
                (f"service_account:{row.id}", place_text(row.place), row.name, _yes(row.disabled), moment_text(row.created_at))
                for row in rows
            ],
        )
    )


@service_account.command(name="add")
@click.argument("place")
@click.option("--name", default="", help="What people call it.")
@json_option
def add_service_account(place: str, name: str, as_json: bool) -> None:
    """Create a service account at PLACE."""
    row = call("POST", "/-/service-accounts", ServiceAccountView, body={"place": place, "name": name})
    _made(row, as_json, f"trimtab key create {place} --owner service_account:{row.id}")


@service_account.command(name="disable")
@click.argument("id")
@json_option
def disable_service_account(id: str, as_json: bool) -> None:
    """Close the keys of the service account ID."""
    path = f"/-/service-accounts/{id.removeprefix('service_account:')}"
    _changed(call("PATCH", path, ServiceAccountView, body={"disabled": True}), as_json)


@service_account.command(name="enable")
@click.argument("id")
@json_option
def enable_service_account(id: str, as_json: bool) -> None:
    """Open the keys of the service account ID again."""
    path = f"/-/service-accounts/{id.removeprefix('service_account:')}"
    _changed(call("PATCH", path, ServiceAccountView, body={"disabled": False}), as_json)


def _made(row: UserView | ServiceAccountView, as_json: bool, next_step: str) -> None:
    if as_json:
        print_json(row)
        return
    click.echo(_holder(row))
    note(f"Next: {next_step}")


def _changed(row: UserView | ServiceAccountView, as_json: bool) -> None:
    if as_json:
        print_json(row)
        return
    note(f"{_holder(row)} is {'disabled' if row.disabled else 'enabled'}.")


def _holder(row: UserView | ServiceAccountView) -> str:
    return f"{'user' if isinstance(row, UserView) else 'service_account'}:{row.id}"


def _yes(value: bool) -> str:
    return "yes" if value else ""
