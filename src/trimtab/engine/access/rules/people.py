"""People and service accounts. A person is known by their e-mail address until they sign in, and by their identity from then on."""

from __future__ import annotations

from msgspec.structs import replace

from trimtab.core.accounts import (
    ROOT,
    Grant,
    Permission,
    Role,
    ServiceAccount,
    User,
    address_key,
    fault_of_address,
    holder_of,
)
from trimtab.core.errors import Conflict, Forbidden, MalformedRequest, Unauthenticated
from trimtab.engine.access.actor import Actor
from trimtab.engine.access.directory import Directory
from trimtab.engine.access.edits import Edit, put
from trimtab.engine.access.law import keeps_an_admin, no_more_than_own
from trimtab.engine.access.rules.check import found, name_of, open_at, unused
from trimtab.engine.access.sight import Sight


def create_user(directory: Directory, actor: Actor, *, id: str, email: str, name: str = "") -> tuple[Edit, ...]:
    """Nobody sets an identity by hand: it would make them whoever signs in with it."""
    if not actor.may_somewhere(Permission.MANAGE_PEOPLE):
        actor.require(Permission.MANAGE_PEOPLE, ROOT)
    fault = fault_of_address(email)
    if fault is not None:
        raise MalformedRequest(fault[0], param="email", hint=fault[1])
    held = directory.by_email.get(address_key(email))
    if held is not None and not Sight(directory, actor).sees(held):
        raise Conflict("That e-mail address is taken.", hint="Ask an admin of the whole installation who has it.")
    if held is not None:
        raise Conflict(
            f"That e-mail address belongs to user:{held.id} already.",
            hint=f"{'Enable them' if held.disabled else 'Grant them a role'} instead of creating them again.",
        )
    user = User(id=id, email=email, name=name_of(name), created_ns=actor.now_ns)
    unused(directory, user)
    return put(user)


def switch_user(directory: Directory, actor: Actor, id: str, *, disabled: bool) -> tuple[Edit, ...]:
    """The keys of whoever is disabled open nothing, and their roles count for nothing. Asks for ``manage_people`` everywhere that the
    change is felt."""
    held = found(directory, actor, User, id, "user")
    for place in sorted(directory.felt_at(holder_of(held)) or {ROOT}):
        actor.require(Permission.MANAGE_PEOPLE, place)
    return _switched(directory, actor, held, disabled)


def create_service_account(directory: Directory, actor: Actor, *, id: str, place: str, name: str = "") -> tuple[Edit, ...]:
    actor.require(Permission.MANAGE_PEOPLE, place)
    open_at(directory, place)
    account = ServiceAccount(id=id, place=place, name=name_of(name), created_ns=actor.now_ns)
    unused(directory, account)
    return put(account)


def switch_service_account(directory: Directory, actor: Actor, id: str, *, disabled: bool) -> tuple[Edit, ...]:
    held = found(directory, actor, ServiceAccount, id, "service account")
    actor.require(Permission.MANAGE_PEOPLE, held.place)
    return _switched(directory, actor, held, disabled)


def _switched(directory: Directory, actor: Actor, held: User | ServiceAccount, disabled: bool) -> tuple[Edit, ...]:
    if held.disabled == disabled:
        return ()
    law = keeps_an_admin if disabled else no_more_than_own
    return law(directory, actor, put(replace(held, disabled=disabled)))


def first_admin(directory: Directory, *, id: str, subject: str, email: str, now_ns: int) -> tuple[Edit, ...]:
    """Whom the operator names becomes admin of the whole installation at their first sign-in, while no person who has signed in is one.

    Nothing where that is not so: nobody whose role was taken away has it again by signing in. ``email`` is verified by the issuer.
    """
    is_known = not subject or not email or subject in directory.by_subject
    if is_known or any(lasts and holder.startswith("user:") for holder, lasts in directory.admins(now_ns)):
        return ()
    invited = directory.by_email.get(address_key(email))
    if invited is not None and (invited.subject or invited.disabled):
        return ()
    user = User(id=id, email=email, subject=subject, created_ns=now_ns) if invited is None else replace(invited, subject=subject)
    if any(grant.role is Role.ADMIN and grant.place == ROOT for grant in directory.held.get(holder_of(user), ())):
        return put(user)
    return put(user, Grant(id=f"{id}.0", holder=holder_of(user), role=Role.ADMIN, place=ROOT, created_ns=now_ns))


def signed_in(directory: Directory, *, subject: str, email: str) -> tuple[User, tuple[Edit, ...]]:
    """The user who signed in as ``subject`` (``issuer|sub``), and what is to be written when it is their first time.

    ``email`` must be verified by the issuer, and is empty where it is not: whoever has the address becomes the user who was created with
    it, once. Raises :class:`Forbidden` for a stranger.
    """
    known = directory.by_subject.get(subject) if subject else None
    invited = directory.by_email.get(address_key(email)) if email and subject else None
    user = known or invited
    if user is None or (known is None and user.subject):
        raise Forbidden(
            "You are signed in, but nobody has let you in here.", hint="Ask an admin to create a user with your e-mail address."
        )
    if user.disabled:
        raise Unauthenticated("This user is disabled.", hint="Ask an admin to enable it.")
    if known is not None:
        return known, ()
    bound = replace(user, subject=subject)
    return bound, put(bound)
