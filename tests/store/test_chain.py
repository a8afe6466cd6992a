import hashlib
import json

from trimtab.store.base import VerifyReport
from trimtab.store.chain import GENESIS, Link, link, walk


def chain(writer: str, bodies: list[bytes]) -> list[Link]:
    links: list[Link] = []
    prev = GENESIS
    for number, body in enumerate(bodies, start=1):
        links.append(link(prev, writer=writer, seq=number, kind="intent", id=f"r{number}", at_ns=number, body=body))
        prev = links[-1].digest
    return links


def test_the_digest_is_what_the_docstring_says() -> None:
    head = json.dumps(["w", 1, "intent", "r1", 1], separators=(",", ":")).encode()
    expected = hashlib.sha256(bytes(32) + head + b"\n" + b"{}").digest()
    assert expected == chain("w", [b"{}"])[0].digest


def test_a_whole_chain_of_several_writers_verifies() -> None:
    assert VerifyReport(rows=5, writers=2) == walk([*chain("a", [b"1", b"2"]), *chain("b", [b"1", b"2", b"3"])])
    assert VerifyReport(rows=0, writers=0) == walk([])


def test_the_first_bad_row_is_named_and_ends_the_walk() -> None:
    a, b = chain("a", [b"1", b"2", b"3"]), chain("b", [b"1", b"2"])
    report = walk([a[0], a[2], *b[1:]])
    assert (report.rows, report.writers, report.first_bad) == (2, 1, ("a", 3))
    assert not report.ok
    assert walk([*a, b[1]]).first_bad == ("b", 2)


def test_the_first_row_of_a_chain_cannot_go_missing() -> None:
    assert walk(chain("a", [b"1", b"2"])[1:]).first_bad == ("a", 2)


def test_a_number_that_was_left_out_is_found_even_in_a_chain_that_was_linked_anew() -> None:
    first = chain("a", [b"1"])[0]
    assert walk([first, link(first.digest, writer="a", seq=3, kind="intent", id="r3", at_ns=3, body=b"3")]).first_bad == ("a", 3)


def test_rows_of_one_writer_do_not_pass_for_anothers() -> None:
    moved = [
        Link(**{**{name: getattr(found, name) for name in Link.__struct_fields__}, "writer": "b"}) for found in chain("a", [b"1"])
    ]
    assert walk(moved).first_bad == ("b", 1)
