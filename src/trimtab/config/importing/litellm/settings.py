"""LiteLLM's three tables of settings, and what stands beside them: the few that have a key here, and notes for the rest."""

from __future__ import annotations

from msgspec import Struct

from trimtab.config.importing.account import Severity
from trimtab.config.importing.litellm.document import Section
from trimtab.config.importing.litellm.knowledge import note_left
from trimtab.config.importing.litellm.models import Groups
from trimtab.config.importing.toml import Value

_MOST_ATTEMPTS = 10
_LARGEST = 2**53
_DAY = ("1d", "24h", "86400s", "1440m")


class Settings(Struct, frozen=True, kw_only=True):
    """Tables of the made file, and what holds for all models."""

    groups: Groups
    routing: dict[str, Value]
    server: dict[str, Value]
    budget: dict[str, Value]


def read_settings(document: Section) -> Settings:
    """Speaks for every key outside ``model_list`` that it knows."""
    router, library = document.section("router_settings"), document.section("litellm_settings")
    general = document.section("general_settings")
    fallbacks = _fallbacks(router, library)
    settings = Settings(
        groups=Groups(
            aliases=_aliases(router),
            fallbacks=fallbacks,
            timeout=_seconds("deployment.timeouts", (router, "timeout"), (library, "request_timeout")),
            stream_timeout=_seconds("deployment.timeouts", (router, "stream_timeout")),
        ),
        routing=_attempts(router, library, max((len(others) for others in fallbacks.values()), default=0)),
        server=_server(general),
        budget=_budget(general) | _budget(library),
    )
    _said_elsewhere(document, general)
    for section, name in ((router, "router_settings"), (library, "litellm_settings"), (general, "general_settings")):
        note_left(section, name)
    note_left(document, "")
    return settings


def _aliases(router: Section) -> dict[str, list[str]]:
    """Group -> its other names. An alias is a name, or a table with one and whether it is hidden."""
    found: dict[str, list[str]] = {}
    aliases = router.section("model_group_alias")
    for alias in aliases:
        value = aliases.value(alias)
        group = Section(value, (*aliases.path, alias), router.account).value("model") if isinstance(value, dict) else value
        if not isinstance(group, str) or group not in router.account.groups:
            aliases.note(alias, "act", "It is the alias of a group that is not in the file.", "Correct it and import again.")
            continue
        found.setdefault(group, []).append(alias)
        router.account.carry((*aliases.path, alias), "deployment.names")
    return found


def _fallbacks(router: Section, library: Section) -> dict[str, list[str]]:
    """Group -> the groups that stand in for it, from both tables; LiteLLM reads the router's first."""
    found: dict[str, list[str]] = {}
    for key in ("fallbacks", "context_window_fallbacks"):
        for section in (router, library):
            for row in section.rows(key):
                for group in row:
                    _add_fallbacks(row, group, found)
            if isinstance(section.value(key), list) and not section.account.knows((*section.path, key)):
                section.carry("deployment.stands_in_for", key)
    everybody = [
        name
        for section in (router, library)
        for name in _names(section.value("default_fallbacks"))
        if name in router.account.groups
    ]
    for section in (router, library):
        section.carry("deployment.stands_in_for", "default_fallbacks")
    everybody += found.pop("*", [])
    for group in router.account.groups if everybody else ():
        found.setdefault(group, []).extend(name for name in everybody if name != group)
    return found


def _add_fallbacks(row: Section, group: str, found: dict[str, list[str]]) -> None:
    names = _names(row.value(group))
    known = [name for name in names if name in row.account.groups]
    whole = row.value(group)
    if len(known) == (len(whole) if isinstance(whole, list) else 1) and (group == "*" or group in row.account.groups):
        row.carry("deployment.stands_in_for", group)
    else:
        row.note(
            group,
            "act",
            "Not all of this could be carried: only groups of the file stand in for each other, as they are.",
            "Add stands_in_for to the deployments that are meant.",
        )
    found.setdefault(group, []).extend(known)


def _names(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _seconds(target: str, *places: tuple[Section, str]) -> float | None:
    found = None
    for section, key in places:
        number = section.number(key)
        section.carry(target, key)
        if number is not None and number > 0 and found is None:
            found = number
    return found


def _attempts(router: Section, library: Section, fallbacks: int) -> dict[str, Value]:
    """LiteLLM's retries come on top of the first call, and then its fallbacks; here one number bounds all calls."""
    found: dict[str, Value] = {}
    for section in (router, library):
        retries = section.number("num_retries")
        if retries is None:
            continue
        section.carry("routing.max_attempts", "num_retries")
        wanted = int(retries) + 1 + fallbacks
        if not 1 <= wanted <= _MOST_ATTEMPTS:
            section.note("num_retries", "differs", f"One request makes 1 to {_MOST_ATTEMPTS} calls here.", "Nothing.")
        found.setdefault("max_attempts", max(1, min(wanted, _MOST_ATTEMPTS)))
    return found


def _server(general: Section) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for key, name, factor in (
        ("global_max_parallel_requests", "max_concurrency", 1),
        ("max_request_size_mb", "max_body_bytes", 1 << 20),
    ):
        number = general.number(key)
        if number is None:
            continue
        if not 1 <= number * factor <= _LARGEST:
            general.note(key, "differs", "This is no limit.", f"[server] {name} keeps its default.")
        else:
            found[name] = int(number * factor)
            general.carry(f"server.{name}", key)
    return found


def _budget(section: Section) -> dict[str, Value]:
    """Only a budget of a day means the same here. Any other has to be set where budgets live, in the store."""
    dollars = section.number("max_budget")
    period = section.text("budget_duration")
    section.carry("budget.usd_per_day", "budget_duration")
    if dollars is None:
        return {}
    if period in _DAY and 0 <= dollars <= 1_000_000:
        section.carry("budget.usd_per_day", "max_budget")
        return {"usd_per_day": dollars}
    section.note(
        "max_budget",
        "act",
        "The file knows a budget per day alone, and this one is of another period. Nothing limits spending until you say so.",
        "Set [budget] usd_per_day, or with the gateway running `trimtab budget set place: --usd N --per month`.",
    )
    return {}


def _said_elsewhere(document: Section, general: Section) -> None:
    """What becomes a step of the person who imports."""
    rows: tuple[tuple[Section, str, Severity, str, str], ...] = (
        (
            general,
            "master_key",
            "act",
            "The key that clients use is not in the file here.",
            "Set TRIMTAB_API_KEY to the same key before `trimtab serve`: clients then change nothing but the address.",
        ),
        (
            document,
            "include",
            "act",
            "The files that are included were not read.",
            "Put their contents into one file and import that.",
        ),
    )
    for section, key, severity, what, next in rows:
        if key in section:
            section.note(key, severity, what, next)
    variables = document.section("environment_variables")
    for name in variables:
        variables.note(
            name,
            "act",
            "Trimtab sets no variables, and the value was not copied.",
            f"Set {name} where you start it, if it is needed.",
        )
