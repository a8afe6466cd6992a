"""What ships the gateway: image, compose file, unit, chart, workflows.

Where the tool itself is here, the tool is asked; where it is not, the test says so, and what can be read from the files still holds.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

import msgspec
import pytest
from tests.repo.source import ROOT

from trimtab import config
from trimtab.config.file import ServerTable

DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "trimtab"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
UID = "10001"
FULL = ("weights={smollm2-135m-instruct}", "existingSecret=keys", "resources.limits.memory=2Gi", "persistence.storageClass=fast")

Tree = dict[str, object]


def yaml(text: str | bytes) -> Tree:
    return msgspec.yaml.decode(text, type=Tree)


def at(tree: object, *path: str) -> object:
    """What stands at ``path``; fails with the path where nothing does."""
    for step in path:
        assert isinstance(tree, dict), f"{path}: nothing at {step!r}"
        assert step in tree, f"{path}: nothing at {step!r}"
        tree = tree[step]
    return tree


def said(*command: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def needs(tool: str) -> str:
    if (found := shutil.which(tool)) is None:
        pytest.skip(f"{tool} is not on this machine")
    return found


# -- the configurations

CONFIGURATIONS: Mapping[str, str] = {
    "image.toml": (DEPLOY / "image.toml").read_text(),
    "compose.toml": (DEPLOY / "compose.toml").read_text(),
    "values.yaml": str(yaml((CHART / "values.yaml").read_text())["config"]),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_container_listens_beyond_its_own_loopback(name: str, tmp_path: Path) -> None:
    file = tmp_path / "trimtab.toml"
    file.write_text(CONFIGURATIONS[name])
    loaded = config.load(file, {"OPENAI_API_KEY": "unused"})
    assert loaded.server.host == "0.0.0.0"
    assert loaded.server.port == 8800, "probes, ports and the health check say 8800"
    assert {deployment.provider for deployment in loaded.deployments} >= {"openai"}
    assert ("smollm2-135m-instruct" in CONFIGURATIONS[name]) == bool(loaded.local)


# -- the image


def stages() -> list[list[tuple[str, str]]]:
    """(instruction, arguments) of each stage of the Dockerfile; the first list is what comes before any."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: list[list[tuple[str, str]]] = [[]]
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append((name, " ".join(rest.split())))
    return found


def test_the_last_stage_gets_two_things_and_runs_as_nobody_in_particular() -> None:
    *_, last = stages()
    assert len(stages()) == 3, "what comes before, the build, the image"
    copied = [rest for name, rest in last if name == "COPY"]
    assert copied == ["--from=build /opt/trimtab /opt/trimtab", "deploy/image.toml /etc/trimtab/trimtab.toml"]
    (user,) = (rest for name, rest in last if name == "USER")
    assert user == f"{UID}:{UID}", "a number: Kubernetes cannot tell whether a name is root"
    (run,) = (rest for name, rest in last if name == "RUN")
    assert "pip uninstall" in run
    names = {name for name, _ in last}
    assert {"STOPSIGNAL", "HEALTHCHECK", "VOLUME", "EXPOSE"} <= names
    assert last.index(("USER", user)) > last.index(("RUN", run))


def test_nothing_is_fetched_without_its_hash() -> None:
    commands = [part for stage in stages() for name, rest in stage if name == "RUN" for part in rest.split("&&")]
    fetching = [command for command in commands if re.search(r"\bpip\b.* (install|download) ", command)]
    assert len(fetching) == 3
    for command in fetching:
        assert ("--require-hashes" in command) != ("--no-index" in command), command
    assert not [rest for stage in stages() for name, rest in stage if name == "ADD" or "curl" in rest or "apt" in rest]


def test_no_name_in_the_image_is_a_secrets() -> None:
    declared = [rest for stage in stages() for name, rest in stage if name in ("ENV", "ARG")]
    assert not [rest for rest in declared if re.search(r"KEY|TOKEN|SECRET|PASSWORD", rest, re.IGNORECASE)]


def test_the_build_context_is_what_is_copied_and_nothing_else() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*", "everything is left out that is not asked for"
    asked = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source
        for stage in stages()
        for name, rest in stage
        if name == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert asked == copied | {"Dockerfile"}
    assert not [path for path in asked if not (ROOT / path).exists()]
    assert any(fnmatch("src/trimtab/__pycache__", rule.replace("**/", "*")) for rule in rules if not rule.startswith("!"))


def test_hadolint_has_nothing_to_say() -> None:
    assert said(needs("hadolint"), "--no-color", "Dockerfile") == ""


# -- compose


def test_the_composition_gives_nothing_away() -> None:
    tree = yaml((DEPLOY / "compose.yaml").read_text())
    assert at(tree, "services", "gateway", "ports") == ["127.0.0.1:8800:8800"]
    taken = at(tree, "services", "gateway", "environment")
    assert isinstance(taken, dict)
    assert set(taken.values()) == {None}, "a key is taken from the shell, never written here"
    for service in ("weights", "gateway"):
        found = at(tree, "services", service)
        assert at(found, "read_only") is True
        assert at(found, "cap_drop") == ["ALL"]
        assert at(found, "security_opt") == ["no-new-privileges:true"]
        assert at(found, "user") == f"{UID}:{UID}"
        assert at(found, "image") == f"trimtab:{VERSION}"
    grace = str(at(tree, "services", "gateway", "stop_grace_period"))
    assert int(grace.removesuffix("s")) > ServerTable().drain_seconds
    weights = tomllib.loads((DEPLOY / "compose.toml").read_text())["local"][0]["weights"]
    assert at(tree, "services", "weights", "command") == ["models", "pull", weights]


def test_compose_takes_the_file() -> None:
    standalone = shutil.which("docker-compose")
    plugin = (
        subprocess.run([shutil.which("docker") or "false", "compose", "version"], capture_output=True, check=False).returncode == 0
    )
    if not (standalone or plugin):
        pytest.skip("neither docker compose nor docker-compose is on this machine")
    command = [standalone] if standalone else ["docker", "compose"]
    resolved = json.loads(said(*command, "--file", str(DEPLOY / "compose.yaml"), "config", "--format", "json"))
    assert at(resolved, "services", "gateway", "depends_on", "weights", "condition") == "service_completed_successfully"
    assert Path(str(at(resolved, "services", "gateway", "build", "context"))) == ROOT


# -- systemd


def test_systemd_takes_the_unit_and_finds_little_exposed(tmp_path: Path) -> None:
    analyze = needs("systemd-analyze")
    unit = tmp_path / "trimtab.service"
    text = (DEPLOY / "systemd" / "trimtab.service").read_text()
    unit.write_text(text.replace("/opt/trimtab/bin/trimtab", sys.executable))  # the one path that is not here
    assert sys.executable in unit.read_text()
    complaints = said(analyze, "verify", str(unit))
    assert "trimtab.service" not in complaints, complaints
    said(analyze, "security", "--offline=true", "--threshold=15", str(unit))


def test_the_unit_waits_for_requests_under_way() -> None:
    unit = dict(
        line.split("=", 1)
        for line in (DEPLOY / "systemd" / "trimtab.service").read_text().splitlines()
        if re.match(r"[A-Z]\w+=", line)
    )
    assert int(unit["TimeoutStopSec"]) > ServerTable().drain_seconds
    assert unit["KillMode"] == "mixed", "the local models are the gateway's to stop"
    assert unit["User"] == "trimtab"


# -- Helm


def templates() -> str:
    return "\n".join(file.read_text() for file in sorted((CHART / "templates").iterdir()))


def paths(tree: Tree, before: str = "") -> Iterator[str]:
    for name, value in tree.items():
        yield f"{before}{name}"
        if isinstance(value, dict):
            yield from paths(value, f"{before}{name}.")


def test_the_chart_is_of_this_version() -> None:
    chart = yaml((CHART / "Chart.yaml").read_text())
    assert (chart["apiVersion"], chart["name"], chart["appVersion"]) == ("v2", "trimtab", VERSION)


def test_every_value_is_used_and_every_value_that_is_used_is_there() -> None:
    known = set(paths(yaml((CHART / "values.yaml").read_text())))
    used = set(re.findall(r"\.Values\.([A-Za-z.]+)", templates()))
    assert used <= known
    parents = {path.rpartition(".")[0] for path in known}
    assert known - parents <= used


def test_the_schema_knows_the_values_and_no_others() -> None:
    def names(schema: object, before: str = "") -> Iterator[str]:
        properties = schema.get("properties", {}) if isinstance(schema, dict) else {}
        for name, inner in properties.items():
            yield f"{before}{name}"
            yield from names(inner, f"{before}{name}.")

    schema = json.loads((CHART / "values.schema.json").read_text())
    assert schema["additionalProperties"] is False
    assert set(names(schema)) - {"global"} == set(paths(yaml((CHART / "values.yaml").read_text())))


def rendered(*settings: str) -> dict[str, Tree]:
    text = said(needs("helm"), "template", "release", str(CHART), *(word for setting in settings for word in ("--set", setting)))
    trees = [yaml(document) for document in text.split("\n---\n") if "kind:" in document]
    return {str(tree["kind"]): tree for tree in trees}


def test_helm_lints_the_chart() -> None:
    said(needs("helm"), "lint", "--strict", str(CHART))


@pytest.mark.parametrize("settings", [(), FULL], ids=["defaults", "all"])
def test_what_helm_renders_runs_as_the_image_means_it(settings: tuple[str, ...]) -> None:
    found = rendered(*settings)
    assert set(found) == {"ConfigMap", "Service", "StatefulSet"}
    pod = at(found["StatefulSet"], "spec", "template", "spec")
    assert at(pod, "securityContext", "runAsNonRoot") is True
    assert at(pod, "securityContext", "runAsUser") == int(UID)
    assert at(pod, "securityContext", "seccompProfile", "type") == "RuntimeDefault"
    assert at(pod, "automountServiceAccountToken") is False
    assert int(str(at(pod, "terminationGracePeriodSeconds"))) > ServerTable().drain_seconds
    assert isinstance(pod, dict)
    containers = [*pod["containers"], *pod.get("initContainers", [])]
    assert len(containers) == (2 if settings else 1)
    for container in containers:
        assert at(container, "image") == f"trimtab:{VERSION}"
        assert at(container, "securityContext", "readOnlyRootFilesystem") is True
        assert at(container, "securityContext", "allowPrivilegeEscalation") is False
        assert at(container, "securityContext", "capabilities", "drop") == ["ALL"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {"home", "config", "tmp"}
    assert str(at(found["ConfigMap"], "data", "trimtab.toml")).strip() == CONFIGURATIONS["values.yaml"].strip()
    selector = at(found["Service"], "spec", "selector")
    assert isinstance(selector, dict)
    labels = at(found["StatefulSet"], "spec", "template", "metadata", "labels")
    assert isinstance(labels, dict)
    assert selector.items() <= labels.items()


@pytest.mark.parametrize(
    "wrong", ["bogus=1", "config=nothing", "service.port=0", "weights={a b}", "terminationGracePeriodSeconds=soon"]
)
def test_helm_refuses_values_that_the_schema_does_not_know(wrong: str) -> None:
    command = [needs("helm"), "template", "release", str(CHART), "--set", wrong]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "schema" in refused.stderr


# -- workflows


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_every_action_is_pinned_by_its_commit(file: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", file.read_text())
    assert used
    for action, comment in used:
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), f"{action}: say which version that is"


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_no_job_may_more_than_it_says(file: Path) -> None:
    tree = yaml(file.read_text())
    assert tree["permissions"] in ({}, {"contents": "read"})
    jobs = tree["jobs"]
    assert isinstance(jobs, dict)
    writing = {name for name, job in jobs.items() if "write" in str(job.get("permissions", ""))}
    assert writing <= {"build", "publish", "image"}
    assert "pull_request_target" not in file.read_text()
    assert not re.search(r"run:.*\$\{\{ *github\.(event|head_ref|ref_name)", file.read_text()), (
        "an expression in a script is an injection"
    )


def test_the_upload_needs_no_token_and_the_same_tests_came_before() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    jobs = yaml(text)["jobs"]
    assert at(jobs, "publish", "permissions") == {"id-token": "write"}
    assert at(jobs, "publish", "needs") == "build"
    assert at(jobs, "build", "needs") == "test"
    assert set(re.findall(r"secrets\.(\w+)", text)) == {"GITHUB_TOKEN"}
