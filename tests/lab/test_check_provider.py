"""The suite lets no liar pass: each provider here breaks one promise, and the check of that promise says so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

import msgspec
import pytest
from msgspec.structs import replace

from trimtab.catalog import ProviderRow
from trimtab.core.catalog import Deployment, ModelCard, Tier
from trimtab.core.errors import FailureKind, ProviderError
from trimtab.core.events import Ended, Finished, Frame, Started, TextDelta, UsageReported
from trimtab.core.messages import Dialect, Request
from trimtab.core.units import Deadline, Usage
from trimtab.core.zones import Boundary, Secret, Sensitivity
from trimtab.lab.check_provider import CHECKS, Factory, Nonconforming, Subject, check_provider, run_check
from trimtab.net import Egress, Receiver, Receivers
from trimtab.providers import Provider, Upstream
from trimtab.providers.http import HTTPProvider

ROW = ProviderRow(name="lab", also=(Dialect.OPENAI_EMBEDDINGS,))
KEY = "sk-lab-0123456789abcdefghijkl"
Open = Callable[[Deployment, Request, Deadline], AbstractAsyncContextManager[Upstream]]


class Liar:
    """The honest provider, but for what a subclass makes of it."""

    def __init__(self, honest: Provider) -> None:
        self.honest = honest

    @asynccontextmanager
    async def open(self, deployment: Deployment, request: Request, deadline: Deadline) -> AsyncIterator[Upstream]:
        async with self.honest.open(deployment, self.ask(request), deadline) as upstream, aclosing(self.tell(upstream)) as frames:
            yield replace(upstream, frames=frames)

    def ask(self, request: Request) -> Request:
        return request

    async def tell(self, upstream: Upstream) -> AsyncGenerator[Frame]:
        async for frame in upstream.frames:
            yield self.frame(frame)

    def frame(self, frame: Frame) -> Frame:
        return frame


class EndsTwice(Liar):
    async def tell(self, upstream: Upstream) -> AsyncGenerator[Frame]:
        async for frame in upstream.frames:
            yield frame
        yield Frame((Ended(),))


class HidesTheCut(Liar):
    async def tell(self, upstream: Upstream) -> AsyncGenerator[Frame]:
        try:
            async for frame in upstream.frames:
                yield frame
        except ProviderError:
            yield Frame((Ended(),))


class CountsNothingAsZero(Liar):
    async def tell(self, upstream: Upstream) -> AsyncGenerator[Frame]:
        yield Frame((UsageReported(Usage(input=0, output=0)),))
        async for frame in upstream.frames:
            yield frame


class LosesWords(Liar):
    def frame(self, frame: Frame) -> Frame:
        return Frame(
            tuple(event for event in frame.events if not (isinstance(event, TextDelta) and "sky" in event.text)), frame.native
        )


class NeverFinishes(Liar):
    def frame(self, frame: Frame) -> Frame:
        return Frame(tuple(event for event in frame.events if not isinstance(event, Finished)), frame.native)


class NeverStarts(Liar):
    def frame(self, frame: Frame) -> Frame:
        return Frame(tuple(event for event in frame.events if not isinstance(event, Started)), frame.native)


class DropsUnknownFields(Liar):
    def ask(self, request: Request) -> Request:
        fields = msgspec.json.decode(request.native, type=dict[str, object])
        return replace(
            request, native=msgspec.json.encode({name: value for name, value in fields.items() if name != "x_lab_field"})
        )


class BlamesTheCaller(Liar):
    @asynccontextmanager
    async def open(self, deployment: Deployment, request: Request, deadline: Deadline) -> AsyncIterator[Upstream]:
        try:
            async with super().open(deployment, request, deadline) as upstream:
                yield upstream
        except ProviderError as error:
            raise ProviderError(FailureKind.CALLER_FAULT, error.message, upstream_status=error.upstream_status) from error


class Retries(Liar):
    @asynccontextmanager
    async def open(self, deployment: Deployment, request: Request, deadline: Deadline) -> AsyncIterator[Upstream]:
        try:
            async with self.honest.open(deployment, request, deadline):
                pass
        except ProviderError:
            pass
        async with self.honest.open(deployment, request, deadline) as upstream:
            yield upstream


class WaitsForTheWhole(Liar):
    async def tell(self, upstream: Upstream) -> AsyncGenerator[Frame]:
        for frame in [frame async for frame in upstream.frames]:
            yield frame


class Gossips(Liar):
    def __repr__(self) -> str:
        return f"<Gossips {KEY}>"


class Repeats(Liar):
    async def tell(self, upstream: Upstream) -> AsyncGenerator[Frame]:
        try:
            async for frame in upstream.frames:
                yield frame
        except ProviderError as error:
            raise ProviderError(error.kind, f"{error.message} the-clients-own-words-7f3a", upstream_status=200) from error


class SharesItsMouth(Liar):
    """Keeps the last frame in the provider and not in the call."""

    held: Frame | None = None

    async def tell(self, upstream: Upstream) -> AsyncGenerator[Frame]:
        async for frame in upstream.frames:
            held, self.held = self.held, frame
            if held is not None:
                yield held
        if self.held is not None:
            yield self.held


def lying(liar: type[Liar]) -> Factory:
    @asynccontextmanager
    async def factory(base_url: str) -> AsyncIterator[Subject]:
        deployment = Deployment(
            id="lab",
            model="lab-model",
            card=ModelCard(name="lab-model"),
            provider="lab",
            dialect=ROW.dialect,
            also=frozenset(ROW.also),
            tier=Tier.MANAGED,
            zone="any",
            base_url=f"{base_url}/v1",
        )
        receiver = Receiver(id="lab", base_url=deployment.base_url, zone="any", headers={"authorization": Secret(f"Bearer {KEY}")})
        egress = Egress(Receivers(Boundary(("any",), {Sensitivity.PUBLIC: "any"}), [receiver]))
        try:
            yield Subject(liar(HTTPProvider(egress, ROW)), deployment)
        finally:
            await egress.aclose()

    return factory


LIES = [
    (EndsTwice, "the events follow the grammar"),
    (NeverFinishes, "the events follow the grammar"),
    (NeverStarts, "the events follow the grammar"),
    (LosesWords, "text and parallel tool calls arrive whole"),
    (CountsNothingAsZero, "usage is what upstream counted, or unknown"),
    (DropsUnknownFields, "the request keeps what it was, but for the model"),
    (DropsUnknownFields, "what else is spoken passes as it came"),
    (WaitsForTheWhole, "closing early closes the connection"),
    (BlamesTheCaller, "every recorded refusal has its kind"),
    (Retries, "every recorded refusal has its kind"),
    (HidesTheCut, "a cut stream never ends silently"),
    (HidesTheCut, "an error event ends the stream as an error"),
    (BlamesTheCaller, "an address where nobody listens is a failure"),
    (SharesItsMouth, "two streams at once do not mix"),
    (Gossips, "no credential and no content is shown"),
    (Repeats, "no credential and no content is shown"),
]


@pytest.mark.parametrize(("liar", "check"), LIES)
async def test_a_liar_is_caught(liar: type[Liar], check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if liar is WaitsForTheWhole:  # for ever
        monkeypatch.setattr("trimtab.lab.check_provider.suite.PATIENCE", 0.5)
    with pytest.raises(Nonconforming):
        await run_check(check, lying(liar))


async def test_the_whole_suite_names_every_check_that_failed() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await check_provider(lying(Gossips))
    (error,) = caught.value.exceptions
    assert error.__notes__ == ["check: no credential and no content is shown"]


def test_every_check_has_a_name_that_says_what_holds() -> None:
    assert len(CHECKS) == len(set(CHECKS.values()))
