"""Faults are found on the right line, however the TOML is written."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.config.source import KeyPath, Source, dotted, nearest

TEXT = '''\
# a comment
top = 1

[server]
port = 8800            # not [server.port]
note = """
[store]
path = 1
"""
list = [
  "a",
  "b",
]

[[deployment]]
id = "x"
price = { input = 1, output = 2 }
timeouts.idle = 3
[deployment.extra]
"quoted key" = 1

[[deployment]]
id = "y"

[store]
path = "z"
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("server",), 4),
        (("server", "port"), 5),
        (("server", "note"), 6),
        (("server", "list"), 10),
        (("server", "list", 1), 10),
        (("deployment", 0), 15),
        (("deployment", 0, "price", "output"), 17),
        (("deployment", 0, "timeouts", "idle"), 18),
        (("deployment", 0, "extra", "quoted key"), 20),
        (("deployment", 1), 22),
        (("deployment", 1, "id"), 23),
        (("deployment", 1, "missing"), 22),
        (("store", "path"), 26),
        (("nothing",), None),
        ((), None),
    ],
)
def test_lines(path: KeyPath, line: int | None) -> None:
    assert Source("f", TEXT, Path()).line_of(path) == line


@settings(max_examples=100, deadline=None)
@given(
    keys=st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), min_size=1, max_size=8, unique=True),
    values=st.lists(
        st.sampled_from(["1", '"x"', "[\n1,\n2]", '"""\n[a]\nb = 1\n"""', "{ a = 1 }", "'''\n\n'''"]), min_size=8, max_size=8
    ),
    gaps=st.lists(st.sampled_from(["", "# note\n", "\n\n"]), min_size=8, max_size=8),
)
def test_each_key_is_found_where_it_was_written(keys: list[str], values: list[str], gaps: list[str]) -> None:
    text, expected = "", {}
    for key, value, gap in zip(keys, values, gaps, strict=False):
        text += gap
        expected[key] = text.count("\n") + 1
        text += f"{key} = {value}\n"
    assert tomllib.loads(text).keys() == expected.keys()
    source = Source("f", text, Path())
    # A comment or an empty line before a key parses on its own, so it never counts as the key's line.
    assert {key: source.line_of((key,)) for key in keys} == expected


def test_paths_are_written_as_people_do() -> None:
    assert dotted(("deployment", 3, "price", "input")) == "deployment[3].price.input"


def test_the_nearest_of_nothing_is_nothing() -> None:
    assert nearest("x", []) == ""
