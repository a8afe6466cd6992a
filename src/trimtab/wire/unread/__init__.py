"""The fields inside a client's body that no decoder looks at, by name: a translation leaves them behind, and says so.

The top-level ones are in ``Request.extras``, where they cost a lookup. Those further in are found here, in a walk over the whole body,
which only a translation has to pay for. It stands outside the dialects, as it knows the shapes of all.
"""

from trimtab.wire.unread.walk import unread

__all__ = ["unread"]
