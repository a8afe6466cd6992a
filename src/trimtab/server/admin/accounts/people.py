"""People and service accounts. Nobody is ever deleted: who did what has to stay true."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from trimtab.core.accounts import ServiceAccount, User, holder_of
from trimtab.engine.access import rules
from trimtab.server.admin.shapes import AtPlace, Name, Nothing, Page, Paging, ServiceAccountView, UserView, page
from trimtab.server.admin.table import Asked, operation
from trimtab.server.common.credentials import SESSION_KIND


class UserBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whoever signs in with this address, verified by the issuer, becomes this user."""

    email: Annotated[str, Meta(max_length=254)]
    name: Name = ""


class ServiceAccountBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    place: str
    name: Name = ""


class Participation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whoever is disabled has no rights, and their keys open nothing."""

    disabled: bool


async def list_users(asked: Asked[Paging, Nothing]) -> Page[UserView]:
    """Users, by id."""
    return page([(user.id, UserView.showing(user)) for user in asked.sight.all(User)], asked.query)


async def get_user(asked: Asked[Nothing, Nothing]) -> UserView:
    """One user."""
    return UserView.showing(asked.sight.find(User, asked.target, "user"))


async def create_user(asked: Asked[Nothing, UserBody]) -> UserView:
    """Let a person in. They have no rights until a role is granted to them."""
    id = asked.site.book.new_id()
    await asked.site.book.apply(asked.actor, partial(rules.create_user, id=id, email=asked.body.email, name=asked.body.name))
    return UserView.showing(asked.site.book.directory.now(User, id))


async def change_user(asked: Asked[Nothing, Participation]) -> UserView:
    """Disable or enable a user. Whoever is disabled is signed out, and has to sign in again once they are enabled."""
    book, id = asked.site.book, asked.target
    await book.apply(asked.actor, partial(rules.switch_user, id=id, disabled=asked.body.disabled))
    user = book.directory.now(User, id)
    if user.disabled:
        await asked.site.store.remove_documents(SESSION_KIND, owner=holder_of(user))
    return UserView.showing(user)


async def list_service_accounts(asked: Asked[AtPlace, Nothing]) -> Page[ServiceAccountView]:
    """Service accounts, by id."""
    sight = asked.sight
    found = [account for account in sight.all(ServiceAccount) if sight.within(account, asked.query.place)]
    return page([(account.id, ServiceAccountView.showing(account)) for account in found], asked.query)


async def get_service_account(asked: Asked[Nothing, Nothing]) -> ServiceAccountView:
    """One service account."""
    return ServiceAccountView.showing(asked.sight.find(ServiceAccount, asked.target, "service account"))


async def create_service_account(asked: Asked[Nothing, ServiceAccountBody]) -> ServiceAccountView:
    """Create a service account. It acts by keys that it owns, at its place or below."""
    id, body = asked.site.book.new_id(), asked.body
    await asked.site.book.apply(asked.actor, partial(rules.create_service_account, id=id, place=body.place, name=body.name))
    return ServiceAccountView.showing(asked.site.book.directory.now(ServiceAccount, id))


async def change_service_account(asked: Asked[Nothing, Participation]) -> ServiceAccountView:
    """Disable or enable a service account."""
    book, id = asked.site.book, asked.target
    await book.apply(asked.actor, partial(rules.switch_service_account, id=id, disabled=asked.body.disabled))
    return ServiceAccountView.showing(book.directory.now(ServiceAccount, id))


_SEE_USER = (
    "to be that user; manage_people or read_audit where they hold a role or own a key; "
    "where there is none, manage_people anywhere, or read_audit everywhere"
)
_CHANGE_USER = "manage_people at every place where they hold a role or own a key; where there is none, everywhere"
_SEE_ACCOUNT = "to act for it; manage_people, manage_keys or read_audit at its place"
_USER, _ACCOUNT = "/-/users/{id}", "/-/service-accounts/{id}"

USERS = (
    operation("GET", "/-/users", list_users, query=Paging, body=Nothing, answer=Page[UserView], needs=_SEE_USER),
    operation(
        "POST", "/-/users", create_user, query=Nothing, body=UserBody, answer=UserView, status=201, needs="manage_people anywhere"
    ),
    operation("GET", _USER, get_user, query=Nothing, body=Nothing, answer=UserView, needs=_SEE_USER),
    operation("PATCH", _USER, change_user, query=Nothing, body=Participation, answer=UserView, needs=_CHANGE_USER),
)
SERVICE_ACCOUNTS = (
    operation(
        "GET",
        "/-/service-accounts",
        list_service_accounts,
        query=AtPlace,
        body=Nothing,
        answer=Page[ServiceAccountView],
        needs=_SEE_ACCOUNT,
    ),
    operation(
        "POST",
        "/-/service-accounts",
        create_service_account,
        query=Nothing,
        body=ServiceAccountBody,
        answer=ServiceAccountView,
        status=201,
        needs="manage_people at its place",
    ),
    operation("GET", _ACCOUNT, get_service_account, query=Nothing, body=Nothing, answer=ServiceAccountView, needs=_SEE_ACCOUNT),
    operation(
        "PATCH",
        _ACCOUNT,
        change_service_account,
        query=Nothing,
        body=Participation,
        answer=ServiceAccountView,
        needs="manage_people at its place",
    ),
)
