"""Imports go down only, never up and never sideways."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest
from tests.repo.source import imports, modules

FLOORS = (
    {"core"},
    {"net", "wire", "catalog", "stats", "config", "telemetry"},
    {"providers", "signals", "routing", "scoring", "store", "local"},
    {"engine", "studio"},
    {"server", "lab"},
    {"cli"},
)
SIDEWAYS = {("config", "catalog"), ("telemetry", "net")}

# Who alone may import what.
OWNERS = {
    "aiohttp": {"net"},
    "sqlite3": {"store"},
    "starlette": {"server", "lab"},
    "uvicorn": {"cli", "lab"},
    "socket": {"net", "local", "cli", "lab"},
    "subprocess": {"local"},
    "click": {"cli"},
}


@cache
def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "trimtab" and len(parts) > 1 and parts[1] not in ("__version__", "__main__") else None


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_go_down_only(module: str) -> None:
    here = room_of(module)
    if here is None:
        pytest.skip("the package's own front has no floor")
    for target, line in imports(modules()[module]):
        there = room_of(target)
        if there is None or there == here:
            continue
        down = floor_of(there) < floor_of(here)
        assert down or (here, there) in SIDEWAYS, f"{module}:{line} imports {target}: {here} may not see {there}"


@pytest.mark.parametrize("module", sorted(modules()))
def test_what_one_room_owns_no_other_imports(module: str) -> None:
    here = room_of(module)
    for target, line in imports(modules()[module]):
        owners = OWNERS.get(target.split(".")[0])
        assert owners is None or here in owners, f"{module}:{line} imports {target}, which belongs to {sorted(owners or ())}"


def test_core_imports_the_standard_library_and_msgspec_only() -> None:
    for module, tree in modules().items():
        if room_of(module) == "core":
            for target, line in imports(tree):
                top = target.split(".")[0]
                assert top in sys.stdlib_module_names | {"msgspec", "trimtab"}, f"{module}:{line} imports {target}"


def test_each_module_imports_alone() -> None:
    """A cycle hidden by the order of imports shows when a module comes first. One fresh interpreter per room is enough to tell."""
    first_of_room = {room_of(module): module for module in sorted(modules(), reverse=True) if not module.endswith("__main__")}
    for module in first_of_room.values():
        done = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"import {module}: {done.stderr}"


def test_the_rooms_of_the_server_share_by_what_is_common_alone() -> None:
    rooms = {"doors", "admin", "signin", "common"}
    for module, tree in modules().items():
        here = module.removeprefix("trimtab.server.").split(".")[0]
        if module.startswith("trimtab.server.") and here in rooms:
            for target, line in imports(tree):
                there = target.removeprefix("trimtab.server.").split(".")[0] if target.startswith("trimtab.server.") else here
                assert there in (here, "common"), f"{module}:{line} imports {target}"
