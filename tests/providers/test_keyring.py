"""Which credential is next: in turn, and not one that rests while another is ready."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.errors import FailureKind, ProviderError
from trimtab.lab.clock import ManualClock
from trimtab.providers.keyring import COOL_SECONDS, Keyring

NAMES = ("a", "a#2", "a#3")


def ring(clock: ManualClock, names: tuple[str, ...] = NAMES) -> Keyring:
    return Keyring(names, now=clock.monotonic)


def failed(keyring: Keyring, name: str, kind: FailureKind, retry_after: float | None = None) -> bool:
    error = ProviderError(kind, "no", retry_after=retry_after)
    keyring.failed(name, error)
    return error.spare


def test_they_take_turns() -> None:
    keyring = ring(ManualClock())
    assert [keyring.pick() for _ in range(7)] == ["a", "a#2", "a#3", "a", "a#2", "a#3", "a"]


@pytest.mark.parametrize("kind", COOL_SECONDS)
async def test_one_that_is_to_blame_rests_and_comes_back(kind: FailureKind) -> None:
    clock = ManualClock()
    keyring = ring(clock)
    assert failed(keyring, keyring.pick(), kind)
    assert [keyring.pick() for _ in range(4)] == ["a#2", "a#3", "a#2", "a#3"]
    clock.advance(COOL_SECONDS[kind])
    assert "a" in {keyring.pick() for _ in range(3)}


def test_the_upstreams_own_wait_counts() -> None:
    clock = ManualClock()
    keyring = ring(clock, NAMES[:2])
    assert failed(keyring, "a", FailureKind.RATE_LIMIT, retry_after=1.0)
    clock.advance(0.5)
    assert {keyring.pick() for _ in range(4)} == {"a#2"}
    clock.advance(0.5)
    assert {keyring.pick() for _ in range(4)} == {"a", "a#2"}


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind not in COOL_SECONDS])
def test_what_no_credential_is_to_blame_for_rests_none(kind: FailureKind) -> None:
    keyring = ring(ManualClock())
    assert not failed(keyring, "a", kind)
    assert {keyring.pick() for _ in NAMES} == set(NAMES)


def test_where_all_rest_the_first_to_be_ready_is_taken_and_none_is_spare() -> None:
    clock = ManualClock()
    keyring = ring(clock)
    spares = [failed(keyring, name, FailureKind.RATE_LIMIT, after) for name, after in zip(NAMES, (9.0, 3.0, 6.0), strict=True)]
    assert spares == [True, True, False]
    assert keyring.pick() == "a#2"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([None, *COOL_SECONDS, FailureKind.TRANSIENT]), st.none() | st.floats(0, 100), st.floats(0, 100)),
        max_size=30,
    )
)
def test_nothing_that_rests_is_taken_while_another_is_ready(story: list[tuple[FailureKind | None, float | None, float]]) -> None:
    clock = ManualClock()
    keyring = ring(clock)
    rests_until = dict.fromkeys(NAMES, 0.0)
    for kind, retry_after, pause in story:
        now = clock.monotonic()
        ready = {name for name, end in rests_until.items() if end <= now}
        chosen = keyring.pick()
        assert chosen in (ready or rests_until)
        if kind is not None:
            spare = failed(keyring, chosen, kind, retry_after)
            if kind in COOL_SECONDS:
                rests_until[chosen] = now + (COOL_SECONDS[kind] if retry_after is None else retry_after)
            assert spare is (kind in COOL_SECONDS and any(end <= now for end in rests_until.values()))
        clock.advance(pause)
