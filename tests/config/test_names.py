"""Names that the operator gives a deployment."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.config.helpers import VLLM, loaded

from trimtab.core.errors import ConfigError


def test_names_take_the_place_of_the_models_and_the_cards(tmp_path: Path) -> None:
    assert loaded(tmp_path, VLLM).deployments[0].called == ("home", "m", "m")
    assert loaded(tmp_path, f'{VLLM}names = ["chat"]').deployments[0].called == ("home", "chat")


@pytest.mark.parametrize("key", ["names", "stands_in_for"])
def test_a_wish_is_nobodys_name(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match="'auto' is a wish") as refused:
        loaded(tmp_path, f'{VLLM}{key} = ["auto"]')
    assert refused.value.line == 5
