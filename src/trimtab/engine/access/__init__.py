"""Who may what: the snapshot that a request is checked against, the rules by which rights are made, and the book that keeps both current.

Knows nothing of HTTP, of how a person signs in, nor of requests: whoever takes one makes a ``Caller`` of the ``LiveKey``, and routing,
rates and budgets read that alone.
"""

from trimtab.engine.access import rules
from trimtab.engine.access.accounts import AccountBook
from trimtab.engine.access.actor import Actor, actor_of
from trimtab.engine.access.directory import Directory, LiveKey, Standing, build
from trimtab.engine.access.edits import Edit
from trimtab.engine.access.keys import KEY_PREFIX, digest, new_key, same
from trimtab.engine.access.rules.keys import NewKey
from trimtab.engine.access.sight import Sight

__all__ = [
    "KEY_PREFIX",
    "AccountBook",
    "Actor",
    "Directory",
    "Edit",
    "LiveKey",
    "NewKey",
    "Sight",
    "Standing",
    "actor_of",
    "build",
    "digest",
    "new_key",
    "rules",
    "same",
]
