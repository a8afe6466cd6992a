"""The dashboard shows what there is: every query is PromQL over metrics and labels that exist, and no metric is forgotten."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations

import promql_parser
import pytest
from prometheus_client.metrics import MetricWrapperBase
from tests.repo.source import ROOT

from trimtab.telemetry import Metrics

DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "trimtab.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
OF_PROMETHEUS = {"instance", "le"}
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def labels_by_series() -> dict[str, set[str]]:
    """The series that `GET /metrics` tells, with their labels."""
    found = {}
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            family = next(iter(metric.describe()))
            for suffix in _SUFFIXES[family.type]:
                found[f"{family.name}{suffix}"] = set(metric._labelnames) | OF_PROMETHEUS
    return found


SERIES = labels_by_series()


def parsed(query: str) -> object:
    """With the values that Grafana would put in place of its variables."""
    return promql_parser.parse(query.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$deployment", ".*"))


def selectors(query: str) -> Iterator[tuple[str, set[str]]]:
    """(series, labels matched) of every selector. The parsed query is printed anew, so that comments and spacing do not matter."""
    for name, matchers in re.findall(r"\b([a-z_]+_[a-z_]+)\{([^}]*)\}", str(parsed(query))):
        yield name, set(re.findall(r"([a-z_]+)(?:=~|!~|!=|=)", matchers))


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_every_query_is_promql_over_what_there_is(title: str, query: str) -> None:
    named = list(selectors(query))
    assert named, f"{title} asks for nothing"
    for name, matched in named:
        assert name in SERIES, f"{title} asks for {name}"
        assert matched <= SERIES[name], f"{title} matches {matched - SERIES[name]} of {name}"
        assert "instance" in matched, f"{title} does not let one choose an instance"
    grouped = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")}
    assert grouped <= set.union(*(SERIES[name] for name, _ in named)), title


def test_a_query_that_is_no_promql_would_be_found() -> None:
    with pytest.raises(ValueError):
        parsed("sum by (outcome) (rate(trimtab_requests_total[5m])")


def test_every_metric_is_on_it() -> None:
    shown = {name for _, query in QUERIES for name, _ in selectors(query)}
    families = {name.removesuffix("_bucket") for name in SERIES if not name.endswith(("_sum", "_count"))}
    assert families - {name.removesuffix("_bucket") for name in shown} == set()


def test_legends_and_variables_name_labels_that_are_left() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            groups = re.findall(r"by \(([^)]*)\)", target["expr"])
            left = set(groups[0].split(", ")) if groups else OF_PROMETHEUS
            assert named <= left, panel["title"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            series, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
            assert label in SERIES[series]


def test_panels_have_ids_and_places_of_their_own() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for one, other in combinations((panel["gridPos"] for panel in DASHBOARD["panels"]), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in DASHBOARD["panels"])
