"""The pages of what there is to know: the shipped catalogue, and the metrics."""

from __future__ import annotations

from docs.generate.paper import Cells, grid, page
from prometheus_client.metrics import MetricWrapperBase

from trimtab import catalog
from trimtab.telemetry import Metrics


def facts() -> str:
    providers: list[Cells] = [
        (f"`{row.name}`", row.dialect, row.base_url, f"`{row.key_env}`" if row.key_env else "-", row.tier, row.zone)
        for row in catalog.providers().values()
    ]
    starters: list[Cells] = [(f"`{row.key_env}`", row.provider, row.model, row.tier) for row in catalog.starters()]
    weights: list[Cells] = [
        (f"`{row.name}`", f"{row.parameters / 1e9:.3g} B", f"{row.bytes / 1e6:,.0f} MB", row.licence, f"`{row.sha256}`", row.source)
        for row in catalog.weights()
    ]
    cards: list[Cells] = [
        (
            f"`{row.name}`",
            row.context_window or "-",
            ", ".join(sorted(row.capabilities)) or "-",
            f"{row.ability.score} ({row.ability.benchmark})" if row.ability else "-",
            row.licence or "-",
        )
        for row in catalog.card_rows()
    ]
    prices = catalog.price_list()
    return page(
        "What is shipped",
        "Facts about the world, as rows of data; each row in `src/trimtab/catalog/data` also says where and when it was read.",
        "## Providers\n\nA `[[provider]]` table of your own adds one. The zone is that of the address as shown;\n"
        "an address on loopback is in zone `local`, a private one in `on_prem`.\n\n"
        + grid(("provider", "dialect", "address", "key", "tier", "zone"), providers),
        "## Starters\n\nDeployments that appear when the key is in the environment and `[starters] enabled` is true.\n\n"
        + grid(("key", "provider", "model", "tier"), starters),
        "## Weights\n\nWhat `trimtab up` and `trimtab models pull` can fetch, each held against its SHA-256.\n\n"
        + grid(("name", "parameters", "size", "licence", "sha256", "source"), weights),
        "## Model cards\n\nA dash is unknown. A model without a figure of ability is given that of its tier, and the decision says so.\n\n"
        + grid(("card", "context", "capabilities", "ability", "licence"), cards),
        f"## Prices\n\n{prices.version}, from {prices.source}. A model that is not in it has no price, which is never the price 0.",
    )


def metric_rows() -> list[Cells]:
    rows: list[Cells] = []
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            family = next(iter(metric.describe()))
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            rows.append((f"`{name}`", family.type, labels, family.documentation))
    return sorted(rows, key=str)


def metrics() -> str:
    return page(
        "Metrics",
        "What `GET /metrics` tells, in the Prometheus text format. No label holds content of a request.",
        grid(("metric", "type", "labels", "meaning"), metric_rows()),
    )
