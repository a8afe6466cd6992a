"""Every error that Trimtab raises on purpose, drawn first::

    TrimtabError                     code, status, message, hint
    ├── ConfigError                  the operator's file: names file, line, key and the nearest valid key
    ├── LocalModelError              weights or the local inference server
    ├── LedgerError                  the event log cannot take a row (disk full, locked, damaged)
    ├── SignInUnavailable   503  the sign-in provider does not answer, or not in a way that can be believed
    ├── Overloaded          503  more requests under way than the gateway takes
    ├── RequestError                 the client's request; never retried
    │   ├── MalformedRequest    400
    │   ├── ReportTooLarge      400  it would take too long, or say more than anybody reads
    │   ├── Unauthenticated     401
    │   ├── SignInRefused       401  this sign-in failed; another may not
    │   ├── Forbidden           403  the key is known, and has no right to this
    │   ├── UnknownModel        404
    │   ├── NotFound            404  a place, user, key, grant or budget that is not there
    │   ├── UnknownRoute        404
    │   ├── Conflict            409  what is to be changed has changed meanwhile, or exists already
    │   └── BodyTooLarge        413
    ├── RefusalError                 nobody may, or nobody can
    │   ├── EgressRefused       503  the one check in front of every outgoing byte said no
    │   ├── NoDeployment        503  the plan is empty; every deployment has its reason
    │   ├── BudgetExhausted     429
    │   └── RateLimited         429  the key or its project has used up its rate
    ├── ProviderError                one upstream attempt failed, classified
    └── AttemptsExhausted            all attempts failed: carries the first failure and the list

``status`` is the HTTP status for the client, ``hint`` the next step. A message never holds content of a request nor a secret.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class TrimtabError(Exception):
    """The root. ``code`` is stable and for programs, the message and ``hint`` are for people.

    ``decision_id`` is set once the request has a record, so that whoever gets the error can ask ``explain``.
    """

    code: str = "internal_error"
    status: ClassVar[int] = 500
    decision_id: str = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} Hint: {self.hint}" if self.hint else self.message


class ConfigError(TrimtabError):
    code = "config_error"

    def __init__(self, message: str, *, file: str = "", line: int | None = None, key: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.line = line
        self.key = key

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part)
        return f"{place}: {super().__str__()}" if place else super().__str__()


class LocalModelError(TrimtabError):
    code = "local_model_error"


class LedgerError(TrimtabError):
    code = "ledger_unavailable"
    status = 503


class SignInUnavailable(TrimtabError):
    code = "sign_in_unavailable"
    status = 503


class Overloaded(TrimtabError):
    code = "overloaded"
    status = 503


class RequestError(TrimtabError):
    """``param`` names the field of the request, as a path, where one is to blame."""

    code = "invalid_request"
    status = 400

    def __init__(self, message: str, *, param: str | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.param = param


class MalformedRequest(RequestError):
    pass


class ReportTooLarge(RequestError):
    code = "report_too_large"


class Unauthenticated(RequestError):
    code = "invalid_api_key"
    status = 401


class SignInRefused(RequestError):
    code = "sign_in_refused"
    status = 401


class Forbidden(RequestError):
    code = "permission_denied"
    status = 403


class Conflict(RequestError):
    code = "conflict"
    status = 409


class UnknownModel(RequestError):
    code = "model_not_found"
    status = 404


class NotFound(RequestError):
    code = "entity_not_found"
    status = 404


class UnknownRoute(RequestError):
    """The path, or the method on it, is not served."""

    code = "not_found"
    status = 404


class BodyTooLarge(RequestError):
    code = "request_too_large"
    status = 413


class RefusalError(TrimtabError):
    """``reasons`` maps a deployment to why it was not used."""

    code = "refused"
    status = 503

    def __init__(self, message: str, *, reasons: dict[str, str] | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reasons = reasons or {}


class EgressRefused(RefusalError):
    code = "egress_refused"


class NoDeployment(RefusalError):
    """``retry_after``: seconds until a deployment that is only resting may be asked again; ``None`` where waiting does not help."""

    code = "no_deployment"
    retry_after: float | None = None


class BudgetExhausted(RefusalError):
    code = "budget_exhausted"
    status = 429


class RateLimited(RefusalError):
    """``retry_after``: seconds until the rate allows such a request again."""

    code = "rate_limit_exceeded"
    status = 429

    def __init__(self, message: str, *, retry_after: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class FailureKind(StrEnum):
    """Why one upstream attempt failed. What follows from each kind stands in the properties, and nowhere else."""

    TRANSIENT = "transient"
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    CREDENTIAL = "credential"
    MODEL_GONE = "model_gone"
    REGION = "region"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    CALLER_FAULT = "caller_fault"
    UNKNOWN = "unknown"

    @property
    def try_next(self) -> bool:
        """May another deployment be tried with the same request?

        Not when the request itself is at fault, nor when a model declined its content: nobody shops for a laxer model here.
        """
        return self not in (FailureKind.CALLER_FAULT, FailureKind.CONTENT_FILTER)

    @property
    def cools(self) -> bool:
        """Does the failure speak against the deployment rather than against the request?"""
        return self in (
            FailureKind.TRANSIENT,
            FailureKind.RATE_LIMIT,
            FailureKind.QUOTA,
            FailureKind.CREDENTIAL,
            FailureKind.MODEL_GONE,
            FailureKind.REGION,
        )

    @property
    def clients_fault(self) -> bool:
        return self in (FailureKind.CALLER_FAULT, FailureKind.CONTENT_FILTER, FailureKind.CONTEXT_LENGTH)


UNSUPPORTED = "unsupported_operation"
"""``ProviderError.detail`` of attempts that asked for what cannot be said to that upstream."""

UNSENT = frozenset({"connect", "connect_timeout", "tls", "credential", "egress_refused", UNSUPPORTED})
"""``ProviderError.detail`` of attempts whose request never left."""


class ProviderError(TrimtabError):
    """The only error a provider raises.

    ``upstream_status`` is ``None`` where no status line arrived. ``retry_after`` is seconds. ``detail`` is the upstream's own code
    (``insufficient_quota``, ``stream_truncated``, ...), ``excerpt`` at most 300 characters of its message, scrubbed of credentials.
    ``credential`` names the one of several that was used, and ``spare`` says that another one stands ready, so that the deployment itself
    is not to blame.
    """

    code = "upstream_error"
    status = 502

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        upstream_status: int | None = None,
        retry_after: float | None = None,
        detail: str = "",
        upstream_id: str = "",
        excerpt: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.upstream_status = upstream_status
        self.retry_after = retry_after
        self.detail = detail
        self.upstream_id = upstream_id
        self.excerpt = excerpt
        self.credential = ""
        self.spare = False

    @property
    def may_be_billed(self) -> bool:
        """A status line with an error, or no connection at all, costs nothing. A silence, or a cut behind a good status line, may cost."""
        if self.upstream_status is None:
            return self.detail not in UNSENT
        return self.upstream_status < 300


class AttemptsExhausted(TrimtabError):
    """Everything the plan allowed was tried. ``first`` is the primary failure; ``tried`` maps deployments to their failure kinds."""

    code = "attempts_exhausted"
    status = 502

    def __init__(self, first: ProviderError, tried: dict[str, FailureKind]) -> None:
        super().__init__(first.message)
        if all(kind in (FailureKind.CREDENTIAL, FailureKind.QUOTA) for kind in tried.values()):
            self.code = "upstream_credentials_exhausted"  # the gateway's keys failed, not the client's
        self.first = first
        self.tried = tried
