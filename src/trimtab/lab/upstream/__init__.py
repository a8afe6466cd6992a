"""What the lab's upstreams are made of: answers, how two protocols say them, what goes wrong on the way, and a server that obeys."""

from trimtab.lab.upstream.answers import HELLO, TOOLS, Answer, Call, answer
from trimtab.lab.upstream.bodies import FAILURES, Failure
from trimtab.lab.upstream.delivery import (
    Cut,
    CutBytes,
    Drop,
    ErrorEvent,
    Fault,
    Form,
    Pace,
    Split,
    SplitCharacters,
    Stall,
    Strange,
)
from trimtab.lab.upstream.loopback import Exchange, Loopback, Received

__all__ = [
    "FAILURES",
    "HELLO",
    "TOOLS",
    "Answer",
    "Call",
    "Cut",
    "CutBytes",
    "Drop",
    "ErrorEvent",
    "Exchange",
    "Failure",
    "Fault",
    "Form",
    "Loopback",
    "Pace",
    "Received",
    "Split",
    "SplitCharacters",
    "Stall",
    "Strange",
    "answer",
]
