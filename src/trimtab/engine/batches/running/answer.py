"""One line of a batch through the gateway, as its caller stands at that moment: a result, or a reason to wait.

A budget that is spent, a rate that is used up and deployments that rest are no failures of a line: the batch waits for them.
"""

from __future__ import annotations

from msgspec import Raw, Struct
from msgspec.structs import replace

from trimtab.core.accounts import ANY_SCOPE
from trimtab.core.decision import LatencyClass
from trimtab.core.errors import (
    BudgetExhausted,
    FailureKind,
    LedgerError,
    NoDeployment,
    ProviderError,
    RateLimited,
    RequestError,
    TrimtabError,
)
from trimtab.core.messages import Request
from trimtab.engine.access import LiveKey
from trimtab.engine.batches.running.lines import dialect_of, question
from trimtab.engine.batches.values import Batch
from trimtab.engine.caller import Caller
from trimtab.engine.gateway import Gateway
from trimtab.engine.whole import whole_answer
from trimtab.wire import CODECS, client_status
from trimtab.wire.batches import Ending, Line, Result
from trimtab.wire.codec import primary

_BUDGET_SECONDS = 60.0
_LEDGER_SECONDS = 5.0
_PASSING = frozenset({FailureKind.TRANSIENT, FailureKind.RATE_LIMIT, FailureKind.QUOTA})


class Rest(Struct, frozen=True):
    """Nothing was asked, and for so many seconds there is no use in asking: the batch rests."""

    seconds: float


class Again(Struct, frozen=True):
    """Upstreams failed in a way that may pass. ``result`` is what stands where nobody tries again."""

    seconds: float
    result: Result


def as_it_stands(caller: Caller, live: LiveKey) -> Caller:
    """Who asked, with what their key may do now."""
    key = live.key
    return replace(
        caller,
        line=key.line,
        place=key.place,
        owner=key.owner,
        scope=None if live.scope == ANY_SCOPE else live.scope,
        chain=live.chain,
        latency=LatencyClass.BATCH,
    )


async def ask(gateway: Gateway, batch: Batch, line: Line, number: int, caller: Caller) -> Result | Rest | Again:
    try:
        request = question_of(batch, line)
        decision, body = await _whole(gateway, request, caller)
    except TrimtabError as error:
        return _failed(batch, line, number, error)
    return Result(number, line.custom_id, Ending.SUCCEEDED, 200, decision, Raw(body))


def question_of(batch: Batch, line: Line) -> Request:
    """Raises :class:`RequestError`."""
    request = question(line, batch.endpoint)
    return replace(request, headers=batch.headers) if batch.headers else request


async def _whole(gateway: Gateway, request: Request, caller: Caller) -> tuple[str, bytes]:
    async with gateway.handle(request, caller) as reply:
        body, _ = await whole_answer(request, reply, CODECS[request.dialect])
        return reply.id, body


def _failed(batch: Batch, line: Line, number: int, error: TrimtabError) -> Result | Rest | Again:
    result = errored(batch, line.custom_id, number, error)
    match primary(error):
        case BudgetExhausted():
            return Rest(_BUDGET_SECONDS)
        case RateLimited(retry_after=seconds):
            return Rest(seconds)
        case NoDeployment(retry_after=float() | int() as seconds):
            return Rest(seconds)
        case LedgerError():
            return Rest(_LEDGER_SECONDS)
        case ProviderError(kind=kind, retry_after=seconds) if kind in _PASSING:
            return Again(seconds or 0.0, result)
        case RequestError() | TrimtabError():
            return result


def errored(batch: Batch, custom_id: str, number: int, error: TrimtabError) -> Result:
    body = CODECS[dialect_of(batch.endpoint)].encode_error(error)
    return Result(number, custom_id, Ending.ERRORED, client_status(error), error.decision_id, Raw(body))
