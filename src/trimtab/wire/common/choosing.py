"""Fields by which a client lets an aggregator behind the gateway choose who answers, beside the model that it names.

A body is forwarded with every field as it came, so what is chosen there is bound by no key's models, no zone and no price. Knows the
fields of OpenRouter and of those that took them over, and no dialect.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Raw

from trimtab.wire.body import refuse

_CHOOSING = frozenset({"fallbacks", "models", "preset", "provider", "route"})


_NOBODY = (b"null", b"{}", b"[]", b'""')


def refuse_choosing(fields: Mapping[str, Raw]) -> None:
    """Raises :class:`~trimtab.core.errors.MalformedRequest` where one of a body's ``fields`` lets an upstream choose."""
    for name in _CHOOSING & fields.keys():
        if bytes(fields[name]) not in _NOBODY:
            hint = "Leave it out and name one model: this gateway chooses who answers, and its configuration holds the fallbacks."
            raise refuse(name, "would let an upstream choose who answers", hint)
