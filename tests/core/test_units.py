"""Values of ``core.units`` against the standard library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.units import SECOND_NS, iso


@given(st.integers(0, 253_402_300_799 * SECOND_NS))
def test_a_moment_is_read_back_as_the_second_that_it_lies_in(at_ns: int) -> None:
    """A float between would round the last moment of a second up into the next."""
    read = datetime.fromisoformat(iso(at_ns))
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at_ns // SECOND_NS) == read
