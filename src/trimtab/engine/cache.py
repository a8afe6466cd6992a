"""Answers that are given again: an exact cache in memory, off by default.

It is asked behind the decision and answers only for a deployment in its plan, so the boundary, the key's scope and the budget hold for a
hit as they do for a call. What one place asked nobody else can find, nor find out. It knows nothing of protocols but which fields of a
body say how the answer travels.

Chat alone: vectors are large, and the other operations' bodies are no JSON or their answers are not folded.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from trimtab.core.catalog import Deployment
from trimtab.core.messages import FinishReason, Operation, Request, Response
from trimtab.core.units import Clock, Usage
from trimtab.engine.caller import CacheUse, Caller
from trimtab.telemetry import Metrics

_TRAVEL = ("stream", "stream_options")
_WHOLE = frozenset({FinishReason.STOP, FinishReason.TOOL_CALLS})
_NOTHING = Usage(input=0, output=0)
_OVERHEAD = 256
"""Bytes that an entry takes beside its answer, roughly."""

_DECODER = msgspec.json.Decoder(Response)


class Hit(Struct, frozen=True):
    """``response`` as it was, but for the id, which was another request's, and the usage, which is none."""

    deployment: Deployment
    response: Response


class _Held(Struct, frozen=True):
    body: bytes
    until: float


class ResponseCache:
    """``max_bytes`` bounds what is held, over all places; what was not asked for longest goes first."""

    def __init__(self, clock: Clock, metrics: Metrics, *, ttl_seconds: float, max_bytes: int) -> None:
        self._clock = clock
        self._metrics = metrics
        self._ttl = ttl_seconds
        self._max_bytes = max_bytes
        self._key = os.urandom(32)
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self.size = 0
        metrics.cache_bytes.set_function(lambda: self.size)

    def question(self, request: Request, caller: Caller) -> Question | None:
        """What ``request`` is known by here; ``None`` where it is not for the cache."""
        if caller.cache is CacheUse.NO_STORE or request.dialect.operation is not Operation.CHAT:
            return None
        try:
            body = msgspec.json.decode(request.native, type=dict[str, Raw])
        except msgspec.DecodeError:
            return None
        for name in _TRAVEL:
            body.pop(name, None)
        # Every value stays as it was written: what differs in one byte is another question.
        asked = (
            caller.place,
            request.dialect,
            request.model,
            request.headers,
            sorted(request.sensitivity),
            body,
        )
        known = hashlib.blake2b(msgspec.json.encode(asked, order="deterministic"), key=self._key, digest_size=32).digest()
        return Question(self, known, request.sampling.n or 1, fresh=caller.cache is CacheUse.REFRESH)

    def _name(self, question: bytes, deployment: Deployment) -> bytes:
        where = msgspec.json.encode((question.hex(), deployment.id, deployment.model, deployment.zone))
        return hashlib.blake2b(where, key=self._key, digest_size=32).digest()

    def find(self, question: bytes, plan: Iterable[Deployment]) -> Hit | None:
        for deployment in plan:
            name = self._name(question, deployment)
            held = self._held.get(name)
            if held is None:
                continue
            if self._clock.monotonic() < held.until:
                self._held.move_to_end(name)
                self._metrics.cache.labels("hit").inc()
                return Hit(deployment, _DECODER.decode(held.body))
            self._drop(name)
        self._metrics.cache.labels("miss").inc()
        return None

    def keep(self, question: bytes, deployment: Deployment, response: Response) -> None:
        body = msgspec.json.encode(replace(response, id="", usage=_NOTHING))
        if len(body) + _OVERHEAD > self._max_bytes:
            return
        name = self._name(question, deployment)
        self._drop(name)
        self._held[name] = _Held(body, self._clock.monotonic() + self._ttl)
        self.size += len(body) + _OVERHEAD
        while self.size > self._max_bytes:
            self._drop(next(iter(self._held)))

    def _drop(self, name: bytes) -> None:
        held = self._held.pop(name, None)
        if held is not None:
            self.size -= len(held.body) + _OVERHEAD


class Question:
    """One request, as the cache knows it. ``fresh``: the client wants a new answer, and that one kept."""

    def __init__(self, cache: ResponseCache, known: bytes, choices: int, *, fresh: bool) -> None:
        self._cache = cache
        self._known = known
        self._choices = choices
        self._fresh = fresh

    def answered(self, plan: Iterable[Deployment]) -> Hit | None:
        """What one of ``plan`` has answered before, the first one first."""
        return None if self._fresh else self._cache.find(self._known, plan)

    def keep(self, deployment: Deployment, response: Response) -> None:
        """Remember a whole answer. One that was cut off, filtered or is to be continued is none."""
        finished = [choice for choice in response.choices if choice.finish_reason in _WHOLE]
        if len(finished) == len(response.choices) >= self._choices:
            self._cache.keep(self._known, deployment, response)
