"""Whatever the table, the labels, the receivers and the forger's wit: bytes are cleared only for who may see them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from trimtab.core.catalog import Deployment, ModelCard, Tier
from trimtab.core.errors import EgressRefused
from trimtab.core.messages import Dialect
from trimtab.core.zones import DEFAULT_ZONES, Boundary, Secret, Sensitivity
from trimtab.net import Egress, Receiver, Receivers
from trimtab.net.client import target_of

LAW = settings(max_examples=200, deadline=None)

EGRESS = Egress(Receivers(Boundary(zones=(), outermost={}), []))
"""One for all examples, as reading the system's certificates takes longer than all the rest."""

zones = st.lists(st.sampled_from([*DEFAULT_ZONES, "lab", ""]), min_size=1, max_size=6, unique=True).map(tuple)
anything = st.one_of(st.sampled_from([*DEFAULT_ZONES, "lab", "", "LOCAL", "local "]), st.text(max_size=8))
classes = st.sampled_from(list(Sensitivity))
labels = st.frozensets(classes)
tables = st.builds(Boundary, zones=zones, outermost=st.dictionaries(classes, anything))
ids = st.one_of(st.sampled_from(["a", "b", "c"]), st.text(max_size=6))
hosts = st.sampled_from(["http://127.0.0.1:1", "https://api.example/v1", "https://evil.example"])
receivers = st.dictionaries(ids, st.tuples(hosts, anything), max_size=5)


def register(table: Boundary, places: Mapping[str, tuple[str, str]]) -> Receivers:
    return Receivers(table, [Receiver(id=id, base_url=url, zone=zone) for id, (url, zone) in places.items()])


def may_see(table: Boundary, found: Sensitivity, zone: str) -> bool:
    """The table's meaning, said without ranks: the zone stands at or before the outermost one in the list."""
    limit = table.outermost.get(found)
    return limit in table.zones and zone in table.zones[: table.zones.index(limit) + 1]


def cleared(known: Receivers, carried: frozenset[Sensitivity], id: str) -> Receiver | None:
    try:
        return known.admit(carried, id)
    except EgressRefused:
        return None


@LAW
@given(tables, labels, receivers, ids)
def test_cleared_exactly_when_every_class_may_be_seen_there(
    table: Boundary, carried: frozenset[Sensitivity], places: dict[str, tuple[str, str]], id: str
) -> None:
    receiver = cleared(register(table, places), carried, id)
    allowed = id in places and bool(carried) and all(may_see(table, found, places[id][1]) for found in carried)
    assert (receiver is not None) is allowed
    if receiver is not None:
        assert (receiver.id, receiver.base_url, receiver.zone) == (id, *places[id])


@LAW
@given(tables, labels, labels, receivers, ids)
def test_more_labels_never_open_a_door(
    table: Boundary, carried: frozenset[Sensitivity], more: frozenset[Sensitivity], places: dict[str, tuple[str, str]], id: str
) -> None:
    known = register(table, places)
    if carried and cleared(known, carried | more, id) is not None:
        assert cleared(known, carried, id) is not None


@LAW
@given(tables, st.frozensets(st.text(max_size=8), min_size=1), labels, receivers, ids)
def test_a_class_that_the_table_does_not_know_closes_every_door(
    table: Boundary, unknown: frozenset[str], carried: frozenset[Sensitivity], places: dict[str, tuple[str, str]], id: str
) -> None:
    known = register(table, places)
    strange: frozenset[Sensitivity] = frozenset(unknown - set(table.outermost))  # type: ignore[arg-type]
    if strange:
        assert cleared(known, carried | strange, id) is None
    assert cleared(known, frozenset(), id) is None


@LAW
@given(tables, labels, receivers, ids, hosts, anything)
def test_a_known_receiver_is_never_moved(
    table: Boundary, carried: frozenset[Sensitivity], places: dict[str, tuple[str, str]], id: str, url: str, zone: str
) -> None:
    known = register(table, places)
    before = cleared(known, carried, id)
    forged = Receiver(id=id, base_url=url, zone=zone, headers={"authorization": Secret("theirs")})
    if id not in places:
        known.register(forged)
        assert cleared(known, carried, id) in (None, forged)
        return
    if places[id] == (url, zone):
        known.register(forged)
    else:
        with pytest.raises(ValueError, match="another place"):
            known.register(forged)
    after = cleared(known, carried, id)
    assert after == before
    assert after is None or not after.headers


@LAW
@given(tables, labels, receivers, ids, st.text(max_size=12), hosts, anything)
async def test_a_forged_deployment_reaches_no_other_place(
    table: Boundary,
    carried: frozenset[Sensitivity],
    places: dict[str, tuple[str, str]],
    id: str,
    tail: str,
    url: str,
    zone: str,
) -> None:
    """A forged deployment has an id, a zone and a URL of the forger's choice; of these only the id is read, and it must be known."""
    forged = Deployment(
        id=id + tail,
        model="m",
        card=ModelCard(name="m"),
        provider="p",
        dialect=Dialect.OPENAI_CHAT,
        tier=Tier.CLOSED,
        zone=zone,
        base_url=url,
    )
    EGRESS.receivers = register(table, places)
    before = EGRESS.statistics()
    if cleared(EGRESS.receivers, carried, forged.id) is None:
        with pytest.raises(EgressRefused):
            async with EGRESS.post(forged.id, "/x", b"", carried=carried, headers={}, connect_timeout=0.1):
                raise AssertionError("let through")
        after = EGRESS.statistics()
        assert (after.sent, after.refused) == (before.sent, before.refused + 1)


@LAW
@given(hosts, st.text(max_size=20))
async def test_no_path_leads_to_another_host(base: str, path: str) -> None:
    receiver = Receiver(id="r", base_url=base, zone="any")
    try:
        url = target_of(receiver, path)
    except ValueError:
        return
    assert url.origin() == URL(base).origin()
    assert url.path.startswith(URL(base).path.rstrip("/"))
