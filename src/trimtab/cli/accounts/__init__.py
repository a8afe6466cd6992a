"""Verbs for teams: who may what, what may be spent, what was. Each speaks to the running gateway as whoever has the key."""

from trimtab.cli.accounts.audit import audit, whoami
from trimtab.cli.accounts.budgets import budget
from trimtab.cli.accounts.grants import grant
from trimtab.cli.accounts.keys import key
from trimtab.cli.accounts.people import service_account, user
from trimtab.cli.accounts.places import place
from trimtab.cli.accounts.usage import usage

__all__ = ["audit", "budget", "grant", "key", "place", "service_account", "usage", "user", "whoami"]
