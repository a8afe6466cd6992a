"""``trimtab user`` and ``trimtab service-account``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import click
from msgspec import Struct

from trimtab.cli.accounts.options import moment_text, place_text
from trimtab.cli.common.gateway import Query, call, every
from trimtab.cli.common.output import json_option, table, tell
from trimtab.server.admin.shapes import Page, ServiceAccountView, UserView

V = TypeVar("V", UserView, ServiceAccountView)


class _Kind(Struct, Generic[V], frozen=True):
    """Where those of a kind are found, what stands before their ids, and what is shown of them."""

    path: str
    prefix: str
    view: type[V]
    rows: type[Page[V]]
    columns: Mapping[str, Callable[[V], object]]


_USERS = _Kind(
    "/-/users",
    "user:",
    UserView,
    Page[UserView],
    {
        "id": lambda row: f"user:{row.id}",
        "e-mail": lambda row: row.email,
        "name": lambda row: row.name,
        "signed in": lambda row: _yes(row.signed_in),
        "disabled": lambda row: _yes(row.disabled),
        "since": lambda row: moment_text(row.created_at),
    },
)
_SERVICE_ACCOUNTS = _Kind(
    "/-/service-accounts",
    "service_account:",
    ServiceAccountView,
    Page[ServiceAccountView],
    {
        "id": lambda row: f"service_account:{row.id}",
        "place": lambda row: place_text(row.place),
        "name": lambda row: row.name,
        "disabled": lambda row: _yes(row.disabled),
        "since": lambda row: moment_text(row.created_at),
    },
)


@click.group()
def user() -> None:
    """People who sign in, and whose keys are theirs alone."""


@user.command(name="list")
@json_option
def list_users(as_json: bool) -> None:
    """Show the users that the key may see."""
    _list(_USERS, as_json)


@user.command(name="add")
@click.argument("email")
@click.option("--name", default="", help="What people call them.")
@json_option
def add_user(email: str, name: str, as_json: bool) -> None:
    """Let in whoever signs in with EMAIL. They have no rights until they are granted a role."""
    _add(_USERS, {"email": email, "name": name}, lambda holder: f"trimtab grant add {holder} member PLACE", as_json)


@click.group(name="service-account")
def service_account() -> None:
    """Programs that act for themselves, by keys that they own."""


@service_account.command(name="list")
@click.option("--place", help="Only those at home there or below.")
@json_option
def list_service_accounts(place: str | None, as_json: bool) -> None:
    """Show the service accounts that the key may see."""
    _list(_SERVICE_ACCOUNTS, as_json, {"place": place})


@service_account.command(name="add")
@click.argument("place")
@click.option("--name", default="", help="What people call it.")
@json_option
def add_service_account(place: str, name: str, as_json: bool) -> None:
    """Create a service account at PLACE."""
    _add(_SERVICE_ACCOUNTS, {"place": place, "name": name}, lambda holder: f"trimtab key create {place} --owner {holder}", as_json)


def _list(kind: _Kind[V], as_json: bool, query: Query | None = None) -> None:
    rows = every(kind.path, kind.rows, query)
    tell(rows, as_json, table(tuple(kind.columns), [tuple(shown(row) for shown in kind.columns.values()) for row in rows]))


def _add(kind: _Kind[V], body: dict[str, object], next_step: Callable[[str], str], as_json: bool) -> None:
    row = call("POST", kind.path, kind.view, body=body)
    holder = f"{kind.prefix}{row.id}"
    tell(row, as_json, holder, f"Next: {next_step(holder)}")


def _switch(group: click.Group, kind: _Kind[V], verb: str, says: str) -> None:
    """Add the ``verb``, disable or enable, to a group."""

    @group.command(name=verb, help=says)
    @click.argument("id")
    @json_option
    def switch(id: str, as_json: bool) -> None:
        row = call("PATCH", f"{kind.path}/{id.removeprefix(kind.prefix)}", kind.view, body={"disabled": verb == "disable"})
        tell(row, as_json, remark=f"{kind.prefix}{row.id} is {verb}d.")


def _yes(value: bool) -> str:
    return "yes" if value else ""


_switch(user, _USERS, "disable", "Take all rights from the user ID, and close their keys.")
_switch(user, _USERS, "enable", "Give the user ID back what they had.")
_switch(service_account, _SERVICE_ACCOUNTS, "disable", "Close the keys of the service account ID.")
_switch(service_account, _SERVICE_ACCOUNTS, "enable", "Open the keys of the service account ID again.")
