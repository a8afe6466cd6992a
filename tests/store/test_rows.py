import json

from msgspec.structs import replace

from trimtab.core.catalog import Capability
from trimtab.core.zones import Sensitivity
from trimtab.lab.check_store import sample_intent
from trimtab.store.rows import decode, encode


def test_a_body_has_its_sets_in_order_so_that_a_row_has_one_digest_in_every_process() -> None:
    signals = replace(sample_intent(1).decision.signals, needs=frozenset(Capability), sensitivity=frozenset(Sensitivity))
    intent = replace(sample_intent(1), decision=replace(sample_intent(1).decision, signals=signals))
    written = json.loads(encode(intent).body)["decision"]["signals"]
    assert (written["needs"], written["sensitivity"]) == (sorted(Capability), sorted(Sensitivity))


def test_the_content_key_is_beside_the_body_not_in_it() -> None:
    entry = encode(sample_intent(1))
    assert json.loads(entry.body)["content_key"] == ""
    assert entry.content_key == sample_intent(1).content_key
    assert decode(entry.body, entry.content_key) == sample_intent(1)


def test_a_row_of_a_later_version_that_knows_more_fields_is_still_read() -> None:
    later = json.loads(encode(sample_intent(1)).body) | {"a_field_of_tomorrow": [1, 2]}
    assert decode(json.dumps(later).encode(), sample_intent(1).content_key) == sample_intent(1)
