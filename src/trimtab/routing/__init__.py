"""Which deployments may answer a request, and in which order to try them.

``policy.decide`` is pure: no await, no clock, no randomness, so ``explain`` and ``replay`` are the same call once more. ``fleet`` is
the only state, and it is handed in. Nothing here opens a connection, and the egress check in ``net/`` does not rely on it.
"""

from trimtab.routing.fleet import Door, Fleet, FleetState
from trimtab.routing.policy import Policy, compile_policy, decide

__all__ = ["Door", "Fleet", "FleetState", "Policy", "compile_policy", "decide"]
