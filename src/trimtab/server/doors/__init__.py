"""The doors that models answer through: one ASGI endpoint per protocol. They decide nothing and retry nothing."""

from trimtab.server.doors.completion import Completion
from trimtab.server.doors.counting import CountTokens
from trimtab.server.doors.door import Door
from trimtab.server.doors.gemini import GeminiDoor
from trimtab.server.doors.responses import KeptResponse, ResponsesDoor, Shelf

__all__ = [
    "Completion",
    "CountTokens",
    "Door",
    "GeminiDoor",
    "KeptResponse",
    "ResponsesDoor",
    "Shelf",
]
