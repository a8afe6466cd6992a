"""The accounts over HTTP: one file for each kind of thing. Every rule they follow stands in ``engine.access.rules``."""

from trimtab.server.admin.accounts.budgets import BUDGETS, BudgetBody, BudgetChange, budget_views
from trimtab.server.admin.accounts.grants import GRANTS, GrantBody
from trimtab.server.admin.accounts.keys import KEYS, KeyBody, NewKeyView, RotateBody
from trimtab.server.admin.accounts.people import SERVICE_ACCOUNTS, USERS, Participation, ServiceAccountBody, UserBody
from trimtab.server.admin.accounts.places import PLACES, PlaceBody

__all__ = [
    "BUDGETS",
    "GRANTS",
    "KEYS",
    "PLACES",
    "SERVICE_ACCOUNTS",
    "USERS",
    "BudgetBody",
    "BudgetChange",
    "GrantBody",
    "KeyBody",
    "NewKeyView",
    "Participation",
    "PlaceBody",
    "RotateBody",
    "ServiceAccountBody",
    "UserBody",
    "budget_views",
]
