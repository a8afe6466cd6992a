"""The matrix of protocols in, protocols out and features has no unnamed gap: what is not carried is named, refused, or documented."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from tests.conformance.matrix import answers, faults, requests
from tests.conformance.matrix.answers import CANNOT_SAY, UNREAD, UPSTREAM_DIALECTS, Heard
from tests.conformance.matrix.feature import CLIENTS, CONVERSE, EMBEDDERS, EMBEDDING_UPSTREAMS, UPSTREAMS, Feature
from tests.conformance.matrix.requests import EMBEDDING_FEATURES, FEATURES, GROUPS, Verdict
from tests.conformance.matrix.said import ANSWERS, AnswerFeature

from trimtab.core.errors import FailureKind
from trimtab.core.messages import Dialect

CHAT_FEATURES = [feature for _, features in GROUPS for feature in features]
of_chat = pytest.mark.parametrize("client", CLIENTS)
named = pytest.mark.parametrize("feature", CHAT_FEATURES, ids=lambda feature: feature.name)


@of_chat
@named
def test_every_feature_of_a_request_is_carried_named_or_refused(feature: Feature, client: Dialect) -> None:
    row = [requests.judge(feature, client, upstream) for upstream in UPSTREAMS]
    for cell in row:
        assert bool(cell.names) == (cell.verdict in (Verdict.PARTLY, Verdict.NAMED, Verdict.REFUSED))
    assert {cell.verdict for cell in row} == {Verdict.ABSENT} or client in feature.bodies


@pytest.mark.parametrize("client", EMBEDDERS)
@pytest.mark.parametrize("feature", EMBEDDING_FEATURES, ids=lambda feature: feature.name)
def test_every_feature_of_an_embedding_is_carried_named_or_refused(feature: Feature, client: Dialect) -> None:
    for upstream in EMBEDDING_UPSTREAMS:
        requests.judge(feature, client, upstream)


@named
def test_what_one_protocol_forwards_it_says_itself(feature: Feature) -> None:
    """A request of a protocol to an upstream of the same is forwarded, or refused for every upstream."""
    for upstream in UPSTREAMS:
        if upstream.dialect in feature.bodies:
            expected = Verdict.REFUSED if feature.refused_at else Verdict.NATIVE
            assert requests.judge(feature, upstream.dialect, upstream).verdict == expected


def test_no_feature_has_two_names() -> None:
    assert len(FEATURES) == len(CHAT_FEATURES) + len(EMBEDDING_FEATURES)


@pytest.mark.parametrize("feature", FEATURES.values(), ids=lambda feature: feature.name)
def test_no_feature_is_allowed_a_name_that_it_never_needs(feature: Feature) -> None:
    upstreams = UPSTREAMS if feature in CHAT_FEATURES else EMBEDDING_UPSTREAMS
    cells = [requests.judge(feature, client, upstream) for client in feature.bodies for upstream in upstreams]
    names = {name for cell in cells for name in cell.names}
    assert [
        pattern for pattern in (*feature.lost_as, *feature.refused_at) if not any(fnmatchcase(name, pattern) for name in names)
    ] == []


# -- answers -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upstream", UPSTREAM_DIALECTS)
@pytest.mark.parametrize("feature", ANSWERS, ids=lambda feature: feature.name)
def test_every_feature_of_an_answer_arrives_or_cannot_be_said(feature: AnswerFeature, upstream: Dialect) -> None:
    for client in CLIENTS:
        ear = answers.listen(feature, upstream, client)
        assert bool(ear.missing) == (ear.heard in (Heard.UNSAID, Heard.UNREAD))


def test_no_excuse_excuses_nothing() -> None:
    """The lists of what cannot be said may only shrink."""
    used: dict[Dialect, set[str]] = {client: set() for client in CLIENTS}
    unread: set[tuple[Dialect, str]] = set()
    for feature, upstream, client in answers.cases():
        ear = answers.listen(feature, upstream, client)
        if ear.heard is Heard.UNREAD:
            unread.add((upstream, feature.name))
        if ear.heard not in (Heard.ABSENT, Heard.NATIVE):
            used[client] |= answers.unsaid(answers.whole(feature.name, upstream), upstream, client)
    assert {client: set(excuses) for client, excuses in CANNOT_SAY.items()} == used
    assert set(UNREAD) == unread


# -- errors ------------------------------------------------------------------------------------------------------------------------


@of_chat
@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_is_an_error_of_the_clients_own_protocol(kind: FailureKind, client: Dialect) -> None:
    assert faults.MESSAGE in faults.read_whole(kind, client).message
    assert faults.MESSAGE in faults.read_in_stream(kind, client).message


@pytest.mark.parametrize("upstream", [*CLIENTS, CONVERSE])
def test_a_stream_that_breaks_off_says_so(upstream: Dialect) -> None:
    assert faults.read_from_upstream(upstream).message == faults.MESSAGE
