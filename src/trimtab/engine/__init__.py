"""The only place with order and patience: what happens to a request, step by step, and what is written down about it."""

from trimtab.engine.access import AccountBook, LiveKey
from trimtab.engine.caller import CacheUse, Caller
from trimtab.engine.gateway import ClientGone, Gateway, Reply
from trimtab.engine.limits import Gate, Purse, Rates
from trimtab.engine.refusals import exhausted

__all__ = ["AccountBook", "CacheUse", "Caller", "ClientGone", "Gate", "Gateway", "LiveKey", "Purse", "Rates", "Reply", "exhausted"]
