"""The reference is whole, and the shipped default shows every key."""

from __future__ import annotations

import re
import tomllib

import msgspec

from trimtab.config import default_text, prices_reference, reference
from trimtab.config.file import BoundaryTable, TierAbilityTable, WaitTable
from trimtab.core.catalog import Tier
from trimtab.core.decision import LatencyClass
from trimtab.core.zones import Sensitivity


def test_every_key_has_a_type_and_a_meaning() -> None:
    entries = (*reference(), *prices_reference())
    assert len({entry.key for entry in reference()}) == len(reference())
    for entry in entries:
        assert entry.type, entry.key
        assert entry.meaning.endswith("."), entry.key
    assert "deployment[].price.cache_read" in {entry.key for entry in entries}


def test_the_default_file_states_each_default_of_the_reference() -> None:
    written = tomllib.loads(default_text()) | tomllib.loads(_commented("oidc"))
    for entry in reference():
        if "[]" in entry.key or entry.key == "starters.enabled":
            continue
        *tables, name = entry.key.split(".")
        if not entry.default:
            assert name in written[tables[0]], f"{entry.key} is not shown in the default file"
            continue
        if entry.default == "unset":
            assert re.search(rf"^# {name} = ", default_text(), re.MULTILINE), f"{entry.key} is not shown in the default file"
            continue
        value: object = written
        for step in (*tables, name):
            assert isinstance(value, dict), entry.key
            value = value[step]
        assert msgspec.json.decode(entry.default) == value, entry.key


def _commented(table: str) -> str:
    """A table that is there whole or not at all is shown as a comment."""
    rows = default_text().partition(f"# [{table}]\n")[2].partition("\n\n")[0]
    return "\n".join([f"[{table}]", *(row.removeprefix("# ") for row in rows.splitlines())])


def test_the_tables_have_a_key_for_each_word_of_the_core() -> None:
    assert set(BoundaryTable.__struct_fields__) == {"zones", *Sensitivity}
    assert set(WaitTable.__struct_fields__) == set(LatencyClass)
    assert set(TierAbilityTable.__struct_fields__) == set(Tier)
