"""Headers that a signer makes right before a request is sent."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.net.exits import BOUNDARY, KEY, PUBLIC, echo
from tests.net.upstream import upstream

from trimtab.core.errors import EgressRefused
from trimtab.core.zones import Secret, Sensitivity
from trimtab.net import CredentialError, Egress, NetError, NetFailure, Receiver, Receivers


class Notary:
    """Adds what it is told to, and remembers what it was shown."""

    def __init__(self, added: Mapping[str, str] | CredentialError) -> None:
        self.added = added
        self.shown: list[tuple[str, str, dict[str, str], bytes | None]] = []

    async def headers(self, method: str, url: str, sent: Mapping[str, str], body: bytes | None) -> Mapping[str, Secret]:
        self.shown.append((method, url, dict(sent), body))
        if isinstance(self.added, CredentialError):
            raise self.added
        return {name: Secret(value) for name, value in self.added.items()}


def egress_with(notary: Notary, url: str) -> Egress:
    key = {"authorization": Secret(f"Bearer {KEY}"), "x-fixed": Secret("stays")}
    return Egress(Receivers(BOUNDARY, [Receiver(id="there", base_url=url, zone="on_prem", headers=key, signer=notary)]))


async def test_it_sees_what_goes_out_and_its_headers_stand_over_all_others() -> None:
    notary = Notary({"Authorization": "Signed by-a-notary", "x-amz-date": "20261122T000000Z"})
    async with upstream(echo) as up:
        egress = egress_with(notary, up.url())
        path = "/model/a%3Ab%2Fc d?x=1"
        async with egress.post("there", path, b"hello", carried=PUBLIC, headers={"X-Mine": "m"}, connect_timeout=2) as answer:
            assert answer.without_credentials("by-a-notary and 20261122T000000Z") == "*** and ***"
            assert answer.without_credentials(f"the key {KEY}") == "the key ***"
        await egress.aclose()
        seen = up.seen[0]
    assert (seen.headers["authorization"], seen.headers["x-amz-date"]) == ("Signed by-a-notary", "20261122T000000Z")
    ((method, url, sent, body),) = notary.shown
    assert (method, url, body) == ("POST", up.url(seen.target), b"hello")
    assert {"x-mine": "m", "x-fixed": "stays"}.items() <= sent.items()


async def test_a_get_is_signed_without_a_body() -> None:
    notary = Notary({})
    async with upstream(echo) as up:
        egress = egress_with(notary, up.url())
        async with egress.get("there", "/x", carried=PUBLIC, headers={}, connect_timeout=2):
            pass
        await egress.aclose()
    assert [(method, body) for method, _, _, body in notary.shown] == [("GET", None)]


@pytest.mark.parametrize("is_passing, kind", [(True, NetFailure.CONNECT), (False, NetFailure.CREDENTIAL)])
async def test_without_a_credential_nothing_is_sent(is_passing: bool, kind: NetFailure) -> None:
    notary = Notary(CredentialError("no token today", is_passing=is_passing))
    async with upstream(echo) as up:
        egress = egress_with(notary, up.url())
        with pytest.raises(NetError, match="no token today") as raised:
            async with egress.post("there", "/x", b"", carried=PUBLIC, headers={}, connect_timeout=2):
                pass
        assert (raised.value.kind, up.accepted, egress.statistics().sent, egress.statistics().open) == (kind, 0, 0, 0)
        await egress.aclose()


async def test_what_may_not_leave_is_not_shown_to_the_signer_either() -> None:
    notary = Notary({})
    egress = egress_with(notary, "http://127.0.0.1:9")
    with pytest.raises(EgressRefused):
        async with egress.post("there", "/x", b"", carried=frozenset({Sensitivity.SECRET}), headers={}, connect_timeout=2):
            pass
    assert notary.shown == []
    await egress.aclose()
