"""ID tokens that somebody made up, altered, or means for somebody else: none of them is anybody's identity."""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm
from tests.support.signin import ONE_KEY, new_key, public

from trimtab.core.errors import SignInRefused
from trimtab.server.signin.tokens import Claims, JSONWebKeys, NoSuchKey, verified

ISSUER, CLIENT, NONCE = "https://id.acme.test", "gateway", "n" * 43
EC_KEY, ED_KEY = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
KEYS = JSONWebKeys(
    (
        public(ONE_KEY, "rsa"),
        {**ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True), "kid": "ec"},
        {**OKPAlgorithm.to_jwk(ED_KEY.public_key(), as_dict=True), "kid": "ed"},
    )
)
PUBLIC_PEM = ONE_KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"iss": ISSUER, "aud": CLIENT, "sub": "s", "iat": now, "exp": now + 86_400, "nonce": NONCE} | changed


def check(token: str, keys: JSONWebKeys = KEYS) -> Claims:
    return verified(token, keys, issuer=ISSUER, client_id=CLIENT, nonce=NONCE)


def part(value: object) -> str:
    return urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=").decode()


GOOD = jwt.encode(claims(), ONE_KEY, "RS256", {"kid": "rsa"})


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(ONE_KEY, "RS256", "rsa"), (EC_KEY, "ES256", "ec"), (ED_KEY, "EdDSA", "ed")])
def test_a_good_token_is_taken_with_and_without_the_keys_name(key: Any, algorithm: str, kid: str) -> None:
    assert check(jwt.encode(claims(), key, algorithm, {"kid": kid})).sub == "s"
    assert check(jwt.encode(claims(), key, algorithm)).sub == "s"


def test_ps256_goes_with_a_key_that_says_nothing_of_its_algorithm() -> None:
    plain = {name: value for name, value in KEYS.keys[0].items() if name != "alg"}
    token = jwt.encode(claims(), ONE_KEY, "PS256", {"kid": "rsa"})
    assert check(token, JSONWebKeys((plain,))).sub == "s"
    with pytest.raises(NoSuchKey):
        check(token)  # the key is for RS256


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "HS512", "RS1", "", None, 7])
def test_an_algorithm_that_is_not_on_the_list_is_refused(algorithm: object) -> None:
    body = GOOD.split(".")[1]
    for signature in ("", GOOD.split(".")[2]):
        with pytest.raises(SignInRefused):
            check(f"{part({'alg': algorithm, 'kid': 'rsa', 'typ': 'JWT'})}.{body}.{signature}")


def test_the_public_key_is_no_shared_secret() -> None:
    """CVE-2016-10555 and its kin. PyJWT itself refuses to make such a token, so it is made by hand."""
    signed = f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{part(claims())}"
    forged = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signed.encode(), PUBLIC_PEM)
    with pytest.raises(SignInRefused, match="not taken here"):
        check(f"{signed}.{urlsafe_b64encode(forged).rstrip(b'=').decode()}")


def test_a_key_in_the_token_itself_is_not_believed() -> None:
    mine = new_key()
    for header in ({"jwk": public(mine, "rsa"), "kid": "rsa"}, {"jku": "https://evil.example/keys", "kid": "rsa"}):
        with pytest.raises(SignInRefused, match="signature"):
            check(jwt.encode(claims(), mine, "RS256", header))


def test_a_key_for_encryption_or_of_another_kind_signs_nothing() -> None:
    for changed in ({"use": "enc"}, {"kty": "oct", "k": "c2VjcmV0"}, {"alg": "RS512"}):
        with pytest.raises(NoSuchKey):
            check(GOOD, JSONWebKeys((KEYS.keys[0] | changed,)))


def test_two_keys_that_may_be_meant_are_none() -> None:
    twice = JSONWebKeys((KEYS.keys[0], public(new_key(), "rsa")))
    with pytest.raises(NoSuchKey):
        check(GOOD, twice)


def test_a_short_key_is_refused() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.raises(SignInRefused):
        check(_made({}, short), JSONWebKeys((public(short, "rsa"),)))
    long = new_key()
    assert check(_made({}, long), JSONWebKeys((public(long, "rsa"),))).sub == "s"


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": []},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"aud": 7},
        {"iss": ISSUER + "/"},
        {"iss": [ISSUER]},
        {"exp": "tomorrow"},
        {"exp": 1e400},
        {"iat": "yesterday"},
        {"nbf": int(time.time()) + 86_400},
        {"nonce": 7},
        {"sub": "x" * 256},
        {"sub": "a\nb"},
        {"sub": None},
    ],
)
def test_claims_that_do_not_hold_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(SignInRefused):
        check(_made(changed))


def _made(changed: dict[str, Any], key: rsa.RSAPrivateKey = ONE_KEY) -> str:
    """By hand: the library does not make every one of them."""
    signed = f"{part({'alg': 'RS256', 'kid': 'rsa'})}.{part(claims(**changed))}"
    algorithm = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    return f"{signed}.{urlsafe_b64encode(algorithm.sign(signed.encode(), key)).rstrip(b'=').decode()}"


def test_several_audiences_are_fine_where_it_was_made_for_us() -> None:
    token = jwt.encode(claims(aud=[CLIENT, "another"], azp=CLIENT), ONE_KEY, "RS256", {"kid": "rsa"})
    assert check(token).azp == CLIENT


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 63))
def test_no_altered_token_is_taken(at: int, by: int) -> None:
    """One character more or less: it is another token, unless it decodes to the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    if GOOD[at] == ".":
        return
    altered = GOOD[:at] + alphabet[(alphabet.index(GOOD[at]) + by) % 64] + GOOD[at + 1 :]
    if [urlsafe_b64decode(one + "==") for one in altered.split(".")] == [urlsafe_b64decode(one + "==") for one in GOOD.split(".")]:
        return
    with pytest.raises((SignInRefused, NoSuchKey)):
        check(altered)


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=60)
    | st.lists(st.binary(max_size=30), max_size=5).map(lambda parts: ".".join(urlsafe_b64encode(one).decode() for one in parts))
)
def test_whatever_is_no_token_is_refused_and_never_breaks_anything(text: str) -> None:
    with pytest.raises((SignInRefused, NoSuchKey)):
        check(text)


def test_deep_json_in_a_token_breaks_nothing() -> None:
    deep = urlsafe_b64encode(b'{"alg":' + b"[" * 100_000).decode().rstrip("=")
    with pytest.raises(SignInRefused):
        check(f"{deep}.e30.")
