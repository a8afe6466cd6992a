"""What the sums by dimension promise."""

from __future__ import annotations

from msgspec.structs import replace

from trimtab.core.decision import Ask
from trimtab.core.messages import Dialect, Operation
from trimtab.core.record import Attempt, Intent, Outcome, OutcomeKind
from trimtab.core.units import DAY_NS, NanoUSD, Usage
from trimtab.lab.check_store.expect import Check, Factory, expect
from trimtab.lab.check_store.samples import START_NS, sample_correction, sample_intent, sample_outcome
from trimtab.store.base import Dimension, Filter, Store, Totals, UsageRow


async def filters_choose_by_whom_and_where(factory: Factory) -> None:
    async with factory() as store:
        places = ("acme", "acme/search", "acme/search/chatbot", "acme-too", "", "zeta")
        for number, place in enumerate(places):
            tags = ("even",) if number % 2 == 0 else ()
            await store.append(replace(sample_intent(number), place=place, owner=f"user:{number % 2}", tags=tags))
            if number < 5:
                await store.append(sample_outcome(number))
        for where, numbers in (
            (Filter(place=""), (0, 1, 2, 3, 4, 5)),
            (Filter(place="acme"), (0, 1, 2)),
            (Filter(place="acme/search"), (1, 2)),
            (Filter(place="acme/search/chatbot"), (2,)),
            (Filter(place="acm"), ()),
            (Filter(owner="user:1"), (1, 3, 5)),
            (Filter(tag="even"), (0, 2, 4)),
            (Filter(tag="even", place="acme", owner="user:0", key_id="key-a"), (0, 2)),
            (Filter(deployment="local"), (0, 1, 2, 3, 4)),
            (Filter(deployment="elsewhere"), ()),
        ):
            found = [record.intent.id async for record in store.scan(where)]
            expect([f"req-{number:08d}" for number in numbers], found, f"ids for {where}")
            settled = len([number for number in numbers if number < 5])
            expect(settled, (await store.totals(where)).requests, f"requests in the totals for {where}")
            rows = await store.usage(where, ())
            expect(settled, sum(row.requests for row in rows), f"requests in the usage for {where}")


async def usage_is_told_apart_by_any_dimension(factory: Factory) -> None:
    """Two requests that differ in everything, and a third that has no outcome."""
    first = sample_intent(0)
    decision = replace(first.decision, ask=Ask(dialect=Dialect.OPENAI_EMBEDDINGS, operation=Operation.EMBEDDINGS))
    second = replace(
        sample_intent(1, key_id="key-b"), at_ns=START_NS + 40 * DAY_NS, place="beta/x", owner="", tags=(), decision=decision
    )
    cached = Outcome(
        id=second.id,
        at_ns=second.at_ns,
        kind=OutcomeKind.FAILED,
        attempts=(),
        usage=Usage(input=0, output=0),
        cost=None,
        cached=True,
    )
    async with factory() as store:
        expect((), await store.usage(Filter(), ()), "usage of an empty log")
        for row in (first, sample_outcome(0), second, cached, sample_intent(2)):
            await store.append(row)
        for dimension, words in (
            (Dimension.PLACE, ("acme/search/chatbot", "beta/x")),
            (Dimension.ORGANISATION, ("acme", "beta")),
            (Dimension.TEAM, ("acme/search", "beta/x")),
            (Dimension.PROJECT, ("acme/search/chatbot", "")),
            (Dimension.KEY, ("key-a", "key-b")),
            (Dimension.OWNER, ("user:ada", "")),
            (Dimension.DIALECT, ("openai_chat", "openai_embeddings")),
            (Dimension.OPERATION, ("chat", "embeddings")),
            (Dimension.OUTCOME, ("complete", "failed")),
            (Dimension.DAY, ("2027-01-15", "2027-02-24")),
            (Dimension.MONTH, ("2027-01", "2027-02")),
            (Dimension.CACHED, ("false", "true")),
        ):
            one = UsageRow(keys=(words[0],), requests=1, complete=1, input_tokens=100, output_tokens=10, cost=NanoUSD(1000))
            other = UsageRow(keys=(words[1],), requests=1, cost_unknown=1)
            expected = tuple(sorted((one, other), key=lambda row: row.keys))
            expect(expected, await store.usage(Filter(), (dimension,)), f"usage by {dimension}")
        both = await store.usage(Filter(), (Dimension.MONTH, Dimension.KEY))
        expect([("2027-01", "key-a"), ("2027-02", "key-b")], [row.keys for row in both], "keys by month and key")


async def usage_counts_under_each_tag(factory: Factory) -> None:
    async with factory() as store:
        for number, tags in enumerate((("a", "b"), ("b", "b"), ())):
            await store.append(replace(sample_intent(number), tags=tags))
            await store.append(sample_outcome(number))
        found = [(*row.keys, row.requests, row.cost) for row in await store.usage(Filter(), (Dimension.TAG,))]
        expect([("", 1, 1000), ("a", 1, 1000), ("b", 2, 2000)], found, "requests and cost by tag")


def _attempt(deployment: str, input_tokens: int | None, cost: int | None) -> Attempt:
    (answered,) = sample_outcome(0).attempts[1:]
    usage = Usage(input=input_tokens, output=1)
    return replace(answered, deployment=deployment, usage=usage, cost=None if cost is None else NanoUSD(cost))


def _request(number: int, *attempts: Attempt) -> tuple[Intent, Outcome]:
    usage, cost = Usage(input=0, output=0), NanoUSD(0)
    known = all(attempt.cost is not None for attempt in attempts)
    for attempt in attempts:
        usage, cost = usage + attempt.usage, NanoUSD(cost + (attempt.cost or 0))
    outcome = replace(sample_outcome(number), attempts=attempts, usage=usage, cost=cost if known else None)
    return sample_intent(number), outcome


async def _by_deployment(store: Store, where: Filter) -> dict[str, tuple[int, int, int, int, int]]:
    rows = await store.usage(where, (Dimension.DEPLOYMENT,))
    return {row.keys[0]: (row.requests, row.complete, row.input_tokens, row.cost, row.cost_unknown) for row in rows}


async def each_attempt_counts_where_it_was_made(factory: Factory) -> None:
    async with factory() as store:
        for row in (
            *_request(0, _attempt("a", 10, 100), _attempt("b", 20, 200)),
            *_request(1, _attempt("a", 1, 1), _attempt("a", 2, 2)),
            *_request(2, _attempt("b", 5, 50)),
            *_request(3),
        ):
            await store.append(row)
        expected = {"": (1, 1, 0, 0, 0), "a": (2, 1, 13, 103, 0), "b": (2, 2, 25, 250, 0)}
        expect(expected, await _by_deployment(store, Filter()), "requests, complete, tokens, cost and unknown by deployment")
        tried_a = {"a": (2, 1, 13, 103, 0), "b": (1, 1, 20, 200, 0)}
        expect(tried_a, await _by_deployment(store, Filter(deployment="a")), "the same of the requests that tried a")
        totals = Totals(requests=4, complete=4, input_tokens=38, output_tokens=5, cost=NanoUSD(353))
        expect(totals, await store.totals(Filter()), "totals")


async def what_is_known_of_an_attempt_counts(factory: Factory) -> None:
    """Also where another attempt of the request is unknown: unknown is not zero, and known is not unknown."""
    async with factory() as store:
        for row in _request(0, _attempt("a", None, None), _attempt("b", 20, 200)):
            await store.append(row)
        expected = {"a": (1, 0, 0, 0, 1), "b": (1, 1, 20, 200, 0)}
        expect(expected, await _by_deployment(store, Filter()), "requests, complete, tokens, cost and unknown by deployment")
        totals = Totals(requests=1, complete=1, input_tokens=20, output_tokens=2, cost=NanoUSD(200), cost_unknown=1)
        expect(totals, await store.totals(Filter()), "totals")


async def a_correction_falls_to_the_attempt_that_answered(factory: Factory) -> None:
    async with factory() as store:
        for row in _request(0, _attempt("a", 10, 100), _attempt("b", None, None)):
            await store.append(row)
        await store.append(replace(sample_correction(0, cost=500), usage=Usage(input=25, output=2)))
        expected = {"a": (1, 0, 10, 100, 0), "b": (1, 1, 15, 400, 0)}
        expect(expected, await _by_deployment(store, Filter()), "requests, complete, tokens, cost and unknown by deployment")
        await store.append(replace(sample_correction(0, later_ns=20, cost=None), usage=Usage(input=25, output=2)))
        expected = {"a": (1, 0, 10, 100, 0), "b": (1, 1, 15, 0, 1)}
        expect(expected, await _by_deployment(store, Filter()), "the same after the cost became unknown again")


USAGE: tuple[Check, ...] = (
    filters_choose_by_whom_and_where,
    usage_is_told_apart_by_any_dimension,
    usage_counts_under_each_tag,
    each_attempt_counts_where_it_was_made,
    what_is_known_of_an_attempt_counts,
    a_correction_falls_to_the_attempt_that_answered,
)
