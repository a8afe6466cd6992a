"""Doors to models. A provider speaks one wire protocol to one kind of endpoint, and classifies what goes wrong.

It never retries, sleeps, prices, routes or logs content. An endpoint without behaviour of its own is a row in ``registry.py``.
"""

from trimtab.providers.base import BatchAnswer, BatchLine, BatchProvider, Provider, Upstream

__all__ = ["BatchAnswer", "BatchLine", "BatchProvider", "Provider", "Upstream"]
