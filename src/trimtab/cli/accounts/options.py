"""What several verbs take: a scope, limits, moments; and how they are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import ParamSpec, TypeVar

import click

from trimtab.core.catalog import Tier
from trimtab.server.admin.shapes import AccessScope, RateLimits

P = ParamSpec("P")
T = TypeVar("T")

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST = 86_400 * 365 * 200
_LIMITS = {
    "requests_per_minute": ("--rpm", "Requests per minute.", "requests/min"),
    "tokens_per_minute": ("--tpm", "Tokens per minute.", "tokens/min"),
    "concurrency": ("--concurrency", "Requests under way at once.", "at once"),
}
"""Each figure's option, what it says of itself, and its unit."""


def span(text: str) -> float:
    """A number of seconds, written ``90s``, ``30m``, ``12h``, ``7d`` or ``2w``."""
    found = _SPAN.fullmatch(text)
    if found is None or (seconds := float(found[1]) * _SECONDS[found[2]]) > _LONGEST:
        raise click.BadParameter(f"{text!r} is no span of time: write 90s, 30m, 12h, 7d or 2w.")
    return seconds


def past(text: str) -> str:
    """A moment as RFC 3339 writes it, UTC where no zone is named; a date is its midnight; a span is counted back from now."""
    return _moment(text, -1)


def future(text: str) -> str:
    """As :func:`past`, but a span is counted ahead."""
    return _moment(text, 1)


def _moment(text: str, direction: int) -> str:
    if _SPAN.fullmatch(text):
        return _text(datetime.now(UTC) + direction * timedelta(seconds=span(text)))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no moment: write 2026-11-22, 2026-11-22T17:00:00Z, or a span such as 7d.") from None
    return _text(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def scope_options(command: Callable[P, T]) -> Callable[P, T]:
    """``models``, ``tiers``, ``zones`` and ``may_lower``: together a scope, which is replaced whole."""
    for option in reversed(
        (
            click.option("--model", "models", multiple=True, help="A deployment or model that can be reached. Several times."),
            click.option(
                "--tier", "tiers", multiple=True, type=click.Choice([tier.value for tier in Tier]), help="A tier. Several times."
            ),
            click.option("--zone", "zones", multiple=True, help="A zone. Several times."),
            click.option("--may-lower", is_flag=True, help="The sensitivity of a request may be lowered by x-trimtab-lower."),
        )
    ):
        command = option(command)
    return command


def limit_options(command: Callable[P, T]) -> Callable[P, T]:
    """The figures of :class:`RateLimits`, each under its own name: together limits, which are replaced whole."""
    for option in reversed(
        [click.option(flag, field, type=click.IntRange(0), help=says) for field, (flag, says, _) in _LIMITS.items()]
    ):
        command = option(command)
    return command


def scope_of(models: tuple[str, ...], tiers: tuple[str, ...], zones: tuple[str, ...], may_lower: bool) -> dict[str, object] | None:
    """``None`` where nothing was said."""
    if not (models or tiers or zones or may_lower):
        return None
    return {"models": models or None, "tiers": tiers or None, "zones": zones or None, "may_lower": may_lower}


def limits_of(figures: Mapping[str, int | None]) -> Mapping[str, int | None] | None:
    """``None`` where nothing was said."""
    return None if set(figures.values()) == {None} else figures


def given(**fields: object) -> dict[str, object]:
    """The body of a request: what was said."""
    return {name: value for name, value in fields.items() if value is not None}


def scope_text(scope: AccessScope) -> str:
    parts = [*(scope.models or ()), *(scope.tiers or ()), *(f"zone {zone}" for zone in scope.zones or ())]
    nothing = [name for name in ("models", "tiers", "zones") if getattr(scope, name) == ()]
    reach = ", ".join([*parts, *(f"no {name}" for name in nothing)]) or "everything"
    return reach + (", may lower" if scope.may_lower else "")


def limits_text(limits: RateLimits) -> str:
    figures = limits.value().figures
    return ", ".join(f"{figures[field]} {unit}" for field, (_, _, unit) in _LIMITS.items() if figures[field] is not None) or "-"


def place_text(place: str) -> str:
    """The installation has no name of its own."""
    return place or "(everywhere)"


def moment_text(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def money(amount: float | None) -> str:
    """As many of six decimals as are needed, and two at least."""
    if amount is None:
        return "unknown"
    whole, _, decimals = f"{amount:,.6f}".partition(".")
    return f"${whole}.{decimals.rstrip('0').ljust(2, '0')}"
