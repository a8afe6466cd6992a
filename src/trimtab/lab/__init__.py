"""The test kit that is shipped: doubles that are ordinary members of the seams, upstreams that fail or replay, and conformance suites.

Nothing in here takes part in serving a request. ``faults`` and ``replay`` are upstreams on loopback; ``check_provider`` and ``check_store``
are suites for implementers of the two seams. ``replay`` is not imported from here: its tokeniser takes a second to load.
"""

from trimtab.lab.clock import ManualClock, VirtualTimeLoop, run_virtual, virtual
from trimtab.lab.faults import FaultyUpstream, Hang, Refuse, Speak, Status, nobody, speak
from trimtab.lab.memory import MemoryStore
from trimtab.lab.scripted import ScriptedProvider, calls, fails, says
from trimtab.lab.upstream import FAILURES

__all__ = [
    "FAILURES",
    "FaultyUpstream",
    "Hang",
    "ManualClock",
    "MemoryStore",
    "Refuse",
    "ScriptedProvider",
    "Speak",
    "Status",
    "VirtualTimeLoop",
    "calls",
    "fails",
    "nobody",
    "run_virtual",
    "says",
    "speak",
    "virtual",
]
