"""One function for each change of the accounts. Each is pure: it takes the accounts as they are and who asks, and returns what is to be
written, nothing where all is so already, or raises why not.

=============================  =======================================================================================================
create a place                 ``manage_places`` at the place above it
alter a place                  ``manage_places`` there to narrow or rename it, at the place above to widen its scope or limits
close, reopen a place          ``manage_places`` there to close it, at the place above to reopen it
create a user                  ``manage_people`` anywhere: somebody without rights is no risk
disable, enable a user         ``manage_people`` at every place where they hold a role or own a key; where there is none, everywhere
a service account              ``manage_people`` at its home
grant, revoke a role           ``manage_grants`` at the place
create, rotate, revoke a key   ``manage_keys`` at its place, or ``manage_own_keys`` there for one's own. To create or rotate one, its
                               owner is oneself, nobody, or a service account at whose home one has ``manage_keys``
a budget                       ``manage_budgets`` at its place; to change one, at the place from which it was set, or above
=============================  =======================================================================================================

Beside the permission, whatever adds a right passes :mod:`trimtab.engine.access.law`. What the actor may not see is not there for them,
and a place is looked up after the permission: so a refusal does not tell what is there. Taking a right away always works for who has the
permission, and only the last lasting admin stays.
"""

from trimtab.engine.access.rules.budgets import change_budget, put_budget, remove_budget
from trimtab.engine.access.rules.grants import grant_role, revoke_role
from trimtab.engine.access.rules.keys import create_key, revoke_key, rotate_key
from trimtab.engine.access.rules.people import (
    create_service_account,
    create_user,
    first_admin,
    signed_in,
    switch_service_account,
    switch_user,
)
from trimtab.engine.access.rules.places import alter_place, close_place, create_place, put_place, reopen_place

__all__ = [
    "alter_place",
    "change_budget",
    "close_place",
    "create_key",
    "create_place",
    "create_service_account",
    "create_user",
    "first_admin",
    "grant_role",
    "put_budget",
    "put_place",
    "remove_budget",
    "reopen_place",
    "revoke_key",
    "revoke_role",
    "rotate_key",
    "signed_in",
    "switch_service_account",
    "switch_user",
]
