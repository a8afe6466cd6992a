"""The page of the errors, from the tree of them and the table of failures.

When each occurs stands in the tables below; an error that is missing there stops the generator.
"""

from __future__ import annotations

from collections.abc import Iterator

from docs.generate.paper import Cells, grid, page

from trimtab.core.errors import AttemptsExhausted, ConfigError, FailureKind, LocalModelError, ProviderError, TrimtabError
from trimtab.wire.faults import Fault, describe

ERRORS = {
    "TrimtabError": "A fault of the gateway's own. Its log names the place.",
    "SignInUnavailable": "The sign-in provider does not answer, or not in a way that can be believed. Keys and sessions go on.",
    "LedgerError": "The event log takes no rows: disk full, locked or damaged. Without a record there is no complete answer.",
    "Overloaded": "More requests under way than `[server] max_concurrency`.",
    "RequestError": "The request asks for what no deployment can do.",
    "MalformedRequest": "The body or a header cannot be read; `param` names the field.",
    "Unauthenticated": "No key, or one that is not known here.",
    "SignInRefused": "This sign-in failed: cancelled, too old, used before, or from another browser. Sign in again.",
    "Forbidden": "The key, or the person, has no right to this.",
    "Conflict": "It is there already, cannot be done as things are, or changed meanwhile.",
    "NotFound": "A place, user, key, grant, budget or record that is not there, or may not be seen.",
    "ReportTooLarge": "The report's answer would have too many rows: ask for fewer dimensions, or a shorter span.",
    "RateLimited": "The key or a place of it has used up its rate; `retry-after` says when to come back.",
    "UnknownModel": "No deployment has that name.",
    "UnknownRoute": "The path, or the method on it, is not served.",
    "BodyTooLarge": "Longer than `[server] max_body_bytes`.",
    "RefusalError": "Nobody may, or nobody can.",
    "EgressRefused": "The check in front of every outgoing byte said no.",
    "NoDeployment": "The plan is empty; the message has a reason for each deployment.",
    "BudgetExhausted": "`[budget] usd_per_day` is spent.",
}

KINDS = {
    FailureKind.TRANSIENT: "No connection, a time-out, a 5xx, a cut stream. 504 for a time-out, 503 for an overloaded upstream.",
    FailureKind.RATE_LIMIT: "Too many requests.",
    FailureKind.QUOTA: "The operator's account at the provider is empty.",
    FailureKind.CREDENTIAL: "The provider does not take the operator's key.",
    FailureKind.MODEL_GONE: "The provider does not know the model, or no longer.",
    FailureKind.REGION: "The provider does not serve this region.",
    FailureKind.CONTEXT_LENGTH: "Too long for this model; only a longer window is tried next.",
    FailureKind.CONTENT_FILTER: "The provider declined the content. Nobody shops for a laxer model.",
    FailureKind.CALLER_FAULT: "The provider says that the request is wrong.",
    FailureKind.UNKNOWN: "None of the above.",
}


def error_tree(kind: type[TrimtabError] = TrimtabError) -> Iterator[type[TrimtabError]]:
    """Every error that a client can get, each once."""
    if kind not in (ConfigError, LocalModelError):
        yield kind
        for child in kind.__subclasses__():
            yield from error_tree(child)


def seen_as(kind: FailureKind) -> Fault:
    """What the client is told when every attempt failed in this way."""
    first = ProviderError(kind, "")
    return describe(AttemptsExhausted(first, {"a deployment": kind}) if kind.try_next else first)


def errors() -> str:
    rows: list[Cells] = [
        (f"`{kind.code}`", kind.status, ERRORS[kind.__name__])
        for kind in error_tree()
        if not issubclass(kind, ProviderError | AttemptsExhausted)
    ]
    kinds: list[Cells] = [
        (
            f"`{kind}`",
            f"`{seen_as(kind).code}`",
            seen_as(kind).status,
            "yes" if kind.try_next else "no",
            "yes" if kind.cools else "no",
            KINDS[kind],
        )
        for kind in FailureKind
    ]
    return page(
        "Errors",
        "Errors come in the body of the client's own protocol. Each message ends with the next step.",
        f"## The gateway's own\n\n{grid(('code', 'status', 'when'), rows)}",
        "## Kinds of upstream failure\n\n"
        "How a failed attempt is classified; code and status that the client gets when no other deployment answered; whether another\n"
        "deployment is tried; and whether the failure counts against the deployment, which then rests for a while. Where the kind has no\n"
        "code of its own, the upstream's stands in place of the one shown, and where the request is to blame so does its 4xx status.\n\n"
        + grid(("kind", "code", "status", "tried elsewhere", "cools down", "what happened"), kinds),
    )
