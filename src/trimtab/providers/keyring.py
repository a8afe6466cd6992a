"""Which of a deployment's credentials the next request uses: in turn, and not one that was refused or limited a moment ago.

Each credential is a receiver of its own. It tells in the error whether another one stands ready; whether to try again is the engine's
decision. State is local to the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from trimtab.core.errors import FailureKind, ProviderError

COOL_SECONDS = {FailureKind.RATE_LIMIT: 10.0, FailureKind.QUOTA: 60.0, FailureKind.CREDENTIAL: 300.0}
"""How long a credential rests after each of the failures that are its own, where the upstream does not say."""


class Keyring:
    """``receivers`` are tried in turn. ``now`` is seconds that never run backwards."""

    def __init__(self, receivers: Sequence[str], *, now: Callable[[], float] = time.monotonic) -> None:
        self._rests_until = dict.fromkeys(receivers, 0.0)
        self._order = list(receivers)
        self._now = now

    def pick(self) -> str:
        """The next one that does not rest; where all do, the one that has rested longest."""
        now = self._now()
        chosen = next((name for name in self._order if self._rests_until[name] <= now), None)
        if chosen is None:
            chosen = min(self._order, key=self._rests_until.__getitem__)
        self._order.remove(chosen)
        self._order.append(chosen)
        return chosen

    def failed(self, receiver: str, error: ProviderError) -> None:
        """Let ``receiver`` rest where its credential is to blame, and mark the error when another one is ready."""
        cool = COOL_SECONDS.get(error.kind)
        if cool is None:
            return
        now = self._now()
        self._rests_until[receiver] = now + (cool if error.retry_after is None else error.retry_after)
        error.spare = any(end <= now for end in self._rests_until.values())
