from __future__ import annotations

import msgspec
import pytest

from trimtab.core.catalog import Tier
from trimtab.core.errors import FailureKind
from trimtab.core.record import Attempt
from trimtab.core.units import Usage
from trimtab.lab.clock import ManualClock
from trimtab.routing import Fleet


def attempt(
    failure: FailureKind | None = None, *, first_us: int | None = None, total_us: int = 0, output: int | None = None
) -> Attempt:
    return Attempt(
        deployment="d",
        model="m",
        tier=Tier.MANAGED,
        zone="any",
        started_ns=0,
        first_token_us=first_us,
        total_us=total_us,
        failure=failure,
        finish_reason="stop" if first_us is not None and failure is None else None,
        usage=Usage(output=output),
    )


GOOD = attempt(first_us=500_000, total_us=1_500_000, output=101)


WHOLE = msgspec.structs.replace(GOOD, first_token_us=None)
"""An answer that came in one piece."""


class Bench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.fleet = Fleet(self.clock)

    def did(self, *attempts: Attempt, retry_after: float | None = None) -> None:
        for each in attempts:
            self.fleet.started("d")
            self.fleet.observe(each, retry_after)

    @property
    def refusal(self) -> str:
        return self.fleet.snapshot().door("d").refusal


@pytest.fixture
def bench() -> Bench:
    return Bench()


TRANSIENT = attempt(FailureKind.TRANSIENT)


def test_an_untried_deployment_is_in_good_health(bench: Bench) -> None:
    assert bench.refusal == ""


def test_three_failures_in_a_row_open_and_a_success_between_them_does_not(bench: Bench) -> None:
    bench.did(TRANSIENT, TRANSIENT, GOOD, TRANSIENT, TRANSIENT)
    assert bench.refusal == ""
    bench.did(TRANSIENT)
    assert "3 failures in a row (transient)" in bench.refusal


def test_after_the_cool_down_one_request_tries_and_success_closes(bench: Bench) -> None:
    bench.did(TRANSIENT, TRANSIENT, TRANSIENT)
    bench.clock.advance(4.9)
    assert bench.refusal
    bench.clock.advance(0.2)
    assert bench.refusal == ""
    bench.fleet.started("d")
    assert "trying it out" in bench.refusal
    bench.fleet.observe(GOOD)
    assert bench.refusal == ""
    bench.did(TRANSIENT)
    assert bench.refusal == ""


def test_each_failed_probe_doubles_the_cool_down_up_to_five_minutes(bench: Bench) -> None:
    bench.did(TRANSIENT, TRANSIENT, TRANSIENT)
    waits = []
    for _ in range(9):
        waited = 0
        while bench.refusal:
            bench.clock.advance(1)
            waited += 1
        waits.append(waited)
        bench.did(TRANSIENT)
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_failures_that_come_in_late_do_not_double_it(bench: Bench) -> None:
    bench.did(*[TRANSIENT] * 10)
    bench.clock.advance(5)
    assert bench.refusal == ""


def test_a_client_that_left_gives_the_probe_back_without_a_verdict(bench: Bench) -> None:
    bench.did(TRANSIENT, TRANSIENT, TRANSIENT)
    bench.clock.advance(5)
    bench.did(attempt())
    assert bench.refusal == ""
    bench.did(TRANSIENT)
    assert bench.refusal


@pytest.mark.parametrize("kind", [FailureKind.QUOTA, FailureKind.CREDENTIAL, FailureKind.MODEL_GONE, FailureKind.REGION])
def test_what_does_not_pass_by_itself_opens_at_once_and_for_long(bench: Bench, kind: FailureKind) -> None:
    bench.did(attempt(kind))
    bench.clock.advance(59)
    assert kind in bench.refusal
    bench.clock.advance(1)
    assert bench.refusal == ""


def test_a_rate_limit_is_kept_for_as_long_as_it_says_and_is_no_failure(bench: Bench) -> None:
    bench.did(attempt(FailureKind.RATE_LIMIT), retry_after=7)
    assert "slow down" in bench.refusal
    bench.clock.advance(6.9)
    assert bench.refusal
    bench.clock.advance(0.1)
    assert bench.refusal == ""
    bench.did(TRANSIENT, TRANSIENT)
    assert bench.refusal == ""


def test_no_header_can_shut_a_deployment_out_for_more_than_five_minutes(bench: Bench) -> None:
    bench.did(attempt(FailureKind.RATE_LIMIT), retry_after=10**9)
    bench.clock.advance(300)
    assert bench.refusal == ""


@pytest.mark.parametrize("kind", [FailureKind.CALLER_FAULT, FailureKind.CONTENT_FILTER, FailureKind.CONTEXT_LENGTH])
def test_the_clients_fault_shows_that_the_deployment_is_there(bench: Bench, kind: FailureKind) -> None:
    bench.did(TRANSIENT, TRANSIENT, attempt(kind), TRANSIENT, TRANSIENT)
    assert bench.refusal == ""


def test_an_unknown_failure_says_nothing(bench: Bench) -> None:
    bench.did(*[attempt(FailureKind.UNKNOWN)] * 9)
    assert bench.refusal == ""


def test_a_whole_answer_tells_a_rate_and_no_time_to_first_token(bench: Bench) -> None:
    bench.did(WHOLE)
    door = bench.fleet.snapshot().door("d")
    assert door.ttft is None
    assert door.rate == pytest.approx(100 / 1.5)


def test_speed_is_a_moving_average(bench: Bench) -> None:
    bench.did(GOOD)
    door = bench.fleet.snapshot().door("d")
    assert (door.ttft, door.rate) == (0.5, 100.0)
    bench.did(attempt(first_us=1_500_000, total_us=2_500_000, output=51))
    door = bench.fleet.snapshot().door("d")
    assert door.ttft == pytest.approx(0.7)
    assert door.rate == pytest.approx(90.0)


def test_an_answer_in_one_piece_has_no_rate(bench: Bench) -> None:
    bench.did(attempt(first_us=2_000_000, total_us=2_000_010, output=500))
    assert bench.fleet.snapshot().door("d").rate is None


def test_the_snapshot_is_the_same_value_until_something_changes(bench: Bench) -> None:
    bench.did(TRANSIENT, TRANSIENT, TRANSIENT)
    before = bench.fleet.snapshot()
    bench.clock.advance(4)
    assert bench.fleet.snapshot() is before
    bench.clock.advance(1)
    after = bench.fleet.snapshot()
    assert after is not before
    assert before.door("d").refusal
    assert not after.door("d").refusal


def test_statistics_count(bench: Bench) -> None:
    bench.did(GOOD, TRANSIENT)
    bench.fleet.started("d")
    row = bench.fleet.statistics()["d"]
    assert (row.attempts, row.failures, row.in_flight, row.refusal) == (3, 1, 1, "")
