"""The only place with order and patience: what happens to a request, step by step, and what is written down about it."""

from trimtab.engine.admission import Admission, Budget, Caller
from trimtab.engine.gateway import ClientGone, Gateway, Reply

__all__ = ["Admission", "Budget", "Caller", "ClientGone", "Gateway", "Reply"]
