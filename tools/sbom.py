"""The software bill of materials in every wheel (CycloneDX 1.6, PEP 770), made from ``requirements.lock`` while the wheel is built.

``python -m tools.sbom`` prints it. Its components are what a user runs: the locked packages that Trimtab's dependencies and its ``local``
extra lead to, each with the hashes of its files. Tools of the build are in the lock too and left out. The same lock gives the same bytes.
It reads two files and knows nothing about what is installed.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent.parent
TARGET = "build/trimtab.cdx.json"
"""Where the build finds it; ``[tool.hatch.build.targets.wheel] sbom-files`` names the same file."""

Json: TypeAlias = "str | int | list[Json] | dict[str, Json]"

_PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;\\]+)\s*(?:;\s*(?P<marker>[^\\\n]+?))?\s*\\?\n")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r"# via (.+)")
_NAME = re.compile(r"[\w.-]+")


class Pin(NamedTuple):
    """One package of the lock. ``via`` names who asked for it; the project itself is ``trimtab``."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    via: frozenset[str]

    @property
    def purl(self) -> str:
        """Its package URL (ECMA-427)."""
        return f"pkg:pypi/{self.name}@{self.version}"


def normal(name: str) -> str:
    """A project's name as packages are compared by (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(text: str) -> tuple[Pin, ...]:
    """The pins of a lock with hashes and line annotations, as ``make lock`` writes it. Raises ``ValueError`` for one without them."""
    pins = []
    for block in re.split(r"\n(?=\S)", text.strip()):
        pin, via = _PIN.match(block + "\n"), _VIA.search(block)
        hashes = tuple(sorted(_HASH.findall(block)))
        if pin is None or via is None or not hashes:
            raise ValueError(f"requirements.lock: {block.splitlines()[0]!r} has no version, hash or '# via'. Run: make lock")
        parents = frozenset(normal(found[0]) for one in via[1].split(",") if (found := _NAME.match(one.strip())))
        pins.append(Pin(normal(pin["name"]), pin["version"], pin["marker"] or "", hashes, parents))
    return tuple(pins)


def reached(pins: Iterable[Pin], requirements: Iterable[str]) -> frozenset[str]:
    """The names of all that ``requirements`` lead to, themselves among them."""
    pins = tuple(pins)
    found = {normal(match[0]) for requirement in requirements if (match := _NAME.match(requirement))}
    while more := {pin.name for pin in pins if pin.via & found} - found:
        found |= more
    return frozenset(found)


def component(pin: Pin, required: frozenset[str]) -> dict[str, Json]:
    """The hashes stand at the distribution: a package has one file for each platform, and each of them is this component."""
    properties: list[Json] = [{"name": "python:marker", "value": pin.marker}] if pin.marker else []
    files: list[Json] = [{"alg": "SHA-256", "content": content} for content in pin.hashes]
    return {
        "type": "library",
        "bom-ref": pin.purl,
        "name": pin.name,
        "version": pin.version,
        "scope": "required" if pin.name in required else "optional",
        "purl": pin.purl,
        "externalReferences": [
            {"type": "distribution", "url": pin.purl, "comment": "any one of these files", "hashes": files},
        ],
        **({"properties": properties} if properties else {}),
    }


def bill(project: Mapping[str, object], pins: Iterable[Pin], epoch: int | None) -> dict[str, Json]:
    """The document. ``epoch`` is the time it bears, in seconds; without one it bears none."""
    direct, extra = _strings(project["dependencies"]), _strings(_table(project["optional-dependencies"])["local"])
    pins = tuple(pins)
    required, used = reached(pins, direct), reached(pins, direct + extra)
    kept = sorted((pin for pin in pins if pin.name in used), key=lambda pin: pin.purl)
    if missing := used - {pin.name for pin in kept}:
        raise ValueError(f"requirements.lock lacks {', '.join(sorted(missing))}. Run: make lock")
    name, version = str(project["name"]), str(project["version"])
    root = f"pkg:pypi/{name}@{version}"
    asked = {normal(match[0]) for requirement in direct + extra if (match := _NAME.match(requirement))}
    edges = {root: [pin.purl for pin in kept if pin.name in asked]}
    edges |= {pin.purl: [other.purl for other in kept if pin.name in other.via] for pin in kept}
    document: dict[str, Json] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            **({} if epoch is None else {"timestamp": datetime.fromtimestamp(epoch, UTC).isoformat()}),
            "lifecycles": [{"phase": "build"}],
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": name,
                "version": version,
                "purl": root,
                "description": str(project["description"]),
                "licenses": [{"license": {"id": str(project["license"])}}],
            },
        },
        "components": [component(pin, required) for pin in kept],
        "dependencies": [{"ref": ref, "dependsOn": list[Json](to)} for ref, to in edges.items()],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, encode(document))
    return {**document, "serialNumber": f"urn:uuid:{serial}"}


def encode(document: dict[str, Json]) -> str:
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _strings(value: object) -> list[str]:
    if not isinstance(value, list):
        raise TypeError("pyproject.toml: a list was expected")
    return [str(one) for one in value]


def _table(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError("pyproject.toml: a table was expected")
    return value


def generate(root: Path) -> str:
    """The bill of the project at ``root``, dated ``SOURCE_DATE_EPOCH`` where that is set."""
    project = _table(tomllib.loads((root / "pyproject.toml").read_text())["project"])
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return encode(bill(project, read_lock((root / "requirements.lock").read_text()), int(epoch) if epoch else None))


class Hook(BuildHookInterface[BuilderConfig]):
    """Hatchling runs this before it makes a wheel."""

    def initialize(self, version: str, build_data: dict[str, object]) -> None:
        """An editable install is nobody's distribution and gets no bill: ``make lock`` needs it before the lock is whole again."""
        if version == "editable":
            self.build_config.target_config["sbom-files"] = []
            return
        target = Path(self.root) / TARGET
        target.parent.mkdir(exist_ok=True)
        target.write_text(generate(Path(self.root)))


def main() -> int:
    sys.stdout.write(generate(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
