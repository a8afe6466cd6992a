"""Who may what: places, people, keys, the rights they hold, and the budgets over them. Values; who checks them is the engine's affair."""

from trimtab.core.accounts.addresses import address_key, fault_of_address
from trimtab.core.accounts.entities import (
    ROOT,
    Budget,
    Change,
    Entity,
    Grant,
    Period,
    Place,
    ServiceAccount,
    User,
    VirtualKey,
    ancestors,
    holder_of,
    is_within,
    key_of,
    parent_of,
)
from trimtab.core.accounts.rights import ANY_SCOPE, NO_LIMITS, PERMISSIONS, Limits, Permission, Role, Scope

__all__ = [
    "ANY_SCOPE",
    "NO_LIMITS",
    "PERMISSIONS",
    "ROOT",
    "Budget",
    "Change",
    "Entity",
    "Grant",
    "Limits",
    "Period",
    "Permission",
    "Place",
    "Role",
    "Scope",
    "ServiceAccount",
    "User",
    "VirtualKey",
    "address_key",
    "ancestors",
    "fault_of_address",
    "holder_of",
    "is_within",
    "key_of",
    "parent_of",
]
