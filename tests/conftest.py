"""The real model's weights, fetched once by the product's own code and kept outside of git."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trimtab import catalog
from trimtab.core.errors import LocalModelError
from trimtab.local.requantise import requantise
from trimtab.local.weights import ensure

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def local_weights() -> Path:
    """The shipped default's weights as fetched (Q4_1), in ``TRIMTAB_TEST_CACHE`` or ``.trimtab/weights``."""
    home = Path(os.environ.get("TRIMTAB_TEST_CACHE") or ROOT / ".trimtab" / "weights")
    (row,) = (row for row in catalog.weights() if row.name == "smollm2-135m-instruct")
    try:
        return ensure(row, home, print)
    except LocalModelError as failure:
        if "could not be downloaded" not in failure.message:
            raise
        pytest.skip(f"the local model cannot be fetched here: {failure}")


@pytest.fixture(scope="session")
def served_weights(local_weights: Path) -> Path:
    """The same, rewritten as Q8_0: what is served."""
    return requantise(
        local_weights, local_weights.parent, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", print
    )
