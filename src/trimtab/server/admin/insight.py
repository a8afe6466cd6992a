"""What a caller can learn: what their key may do, how the deployments are, why a request went where it went, who changed the accounts."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from trimtab.core.accounts import (
    PERMISSIONS,
    ROOT,
    Budget,
    Change,
    Grant,
    Permission,
    Place,
    Role,
    ServiceAccount,
    User,
    VirtualKey,
    holder_of,
)
from trimtab.core.catalog import Tier
from trimtab.core.errors import NotFound
from trimtab.core.record import Record
from trimtab.engine.access import Sight
from trimtab.server.admin.accounts import budget_views
from trimtab.server.admin.accounts.budgets import fixed_budgets
from trimtab.server.admin.shapes import (
    AccessScope,
    BudgetView,
    GrantView,
    KeyView,
    Nothing,
    Page,
    Paging,
    PlaceView,
    RateLimits,
    ServiceAccountView,
    UserView,
    moment,
    page,
)
from trimtab.server.admin.table import Asked, operation

_MOST_CHANGES = 5_000
"""How many changes one call looks at: whoever may see few of them gets a short page, and goes on."""


class RoleHeld(Struct, frozen=True, kw_only=True):
    """A role at a place and below, and the permissions that it gives."""

    role: Role
    place: str
    permissions: tuple[Permission, ...]


class WhoAmI(Struct, frozen=True, kw_only=True):
    """What the presented key, or the session, can do.

    `scope` and `limits` are what the key and every place above it leave together. `place` is where its requests count; null for a
    person who has signed in. `principal` owns what is made without an owner, and is empty for a key that nobody owns. `csrf` goes into
    the header x-trimtab-csrf of every change that a session asks for; it is empty for a key, which needs none.
    """

    holder: str
    principal: str
    place: str | None
    name: str
    roles: tuple[RoleHeld, ...]
    scope: AccessScope
    limits: RateLimits
    expires_at: datetime | None
    budgets: tuple[BudgetView, ...]
    csrf: str


class DeploymentState(Struct, frozen=True, kw_only=True):
    """How a deployment does, as this process has seen it since it started. `refusal` says why it rests, and is empty when it does not."""

    id: str
    model: str
    tier: Tier
    zone: str
    refusal: str
    in_flight: int
    attempts: int
    failures: int
    first_token_seconds: float | None
    tokens_per_second: float | None


class AuditEntry(Struct, frozen=True, kw_only=True):
    """A change of the accounts: who put or removed what. Entries of one call have the same moment."""

    id: str
    at: datetime | None
    actor: str
    action: str
    entity: PlaceView | UserView | ServiceAccountView | GrantView | KeyView | BudgetView


async def whoami(asked: Asked[Nothing, Nothing]) -> WhoAmI:
    """What the presented key may do, and what is left of its budgets."""
    actor, sight = asked.actor, asked.sight
    key = sight.key
    mine = [budget for budget in (*sight.directory.all(Budget), *fixed_budgets(asked.site)) if sight.spends_from(budget)]
    return WhoAmI(
        holder=actor.holder,
        principal=actor.principal,
        place=None if key is None else key.place,
        name=_name(sight),
        roles=tuple(
            RoleHeld(role=grant.role, place=grant.place, permissions=tuple(sorted(PERMISSIONS[grant.role])))
            for grant in actor.grants
        ),
        scope=AccessScope.of(actor.scope),
        limits=RateLimits.of(actor.limits),
        expires_at=moment(actor.expires_ns),
        budgets=tuple(sorted(await budget_views(asked.site, mine), key=lambda view: view.id)),
        csrf=asked.csrf,
    )


async def fleet(asked: Asked[Paging, Nothing]) -> Page[DeploymentState]:
    """How the deployments are doing, by id."""
    asked.actor.require(Permission.OPERATE, ROOT)
    seen = asked.site.gateway.fleet.statistics()
    rows = []
    for deployment in asked.site.gateway.deployments.values():
        state = seen.get(deployment.id)
        row = DeploymentState(
            id=deployment.id,
            model=deployment.model,
            tier=deployment.tier,
            zone=deployment.zone,
            refusal=state.refusal if state else "",
            in_flight=state.in_flight if state else 0,
            attempts=state.attempts if state else 0,
            failures=state.failures if state else 0,
            first_token_seconds=state.ttft if state else None,
            tokens_per_second=state.rate if state else None,
        )
        rows.append((deployment.id, row))
    return page(rows, asked.query)


async def decision(asked: Asked[Nothing, Nothing]) -> Record:
    """The whole record of one request, as `trimtab explain --json` prints it."""
    record = await asked.site.store.get(asked.target)
    if record is None or not asked.sight.sees_record(record):
        raise NotFound("No such decision, or not one of yours.", hint="Its id is in the response header x-trimtab-decision.")
    return record.public()


async def audit(asked: Asked[Paging, Nothing]) -> Page[AuditEntry]:
    """Every change of the accounts, oldest first. A page can be short while there is more."""
    sight, query = asked.sight, asked.query
    found: list[AuditEntry] = []
    looked, last = 0, query.after or ""
    async for change in asked.site.book.audit(after=last, limit=_MOST_CHANGES + 1):
        if looked == _MOST_CHANGES or len(found) == query.limit:
            return Page(data=tuple(found), has_more=True, next_after=last)
        looked, last = looked + 1, change.id
        if sight.sees_change(change):
            found.append(_entry(change))
    return Page(data=tuple(found), has_more=False)


def _entry(change: Change) -> AuditEntry:
    return AuditEntry(id=change.id, at=moment(change.at_ns), actor=change.actor, action=change.action, entity=_entity(change))


def _entity(change: Change) -> PlaceView | UserView | ServiceAccountView | GrantView | KeyView | BudgetView:
    match change.entity:
        case Place() as place:
            return PlaceView.showing(place, barred="")
        case User() as user:
            return UserView.showing(user)
        case ServiceAccount() as account:
            return ServiceAccountView.showing(account)
        case Grant() as grant:
            return GrantView.showing(grant)
        case VirtualKey() as key:
            return KeyView.showing(key)
        case Budget() as budget:
            return BudgetView.of_budget(budget)


def _name(sight: Sight) -> str:
    """The key's name, or the person's."""
    if sight.key is not None:
        return sight.key.name
    return next((user.name for user in sight.directory.all(User) if holder_of(user) == sight.actor.holder), "")


INSIGHT = (
    operation("GET", "/-/whoami", whoami, query=Nothing, body=Nothing, answer=WhoAmI, needs="nothing but a key"),
    operation(
        "GET",
        "/-/fleet",
        fleet,
        query=Paging,
        body=Nothing,
        answer=Page[DeploymentState],
        needs="operate over the whole installation",
    ),
    operation(
        "GET",
        "/-/decisions/{id}",
        decision,
        query=Nothing,
        body=Nothing,
        answer=Record,
        needs="to have asked; read_records at the place that was asked from",
    ),
    operation(
        "GET",
        "/-/audit",
        audit,
        query=Paging,
        body=Nothing,
        answer=Page[AuditEntry],
        needs="read_audit at the place of what was changed; others are left out",
    ),
)
