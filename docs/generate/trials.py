"""The pages of what the tests found: which clients work, and what is carried between which protocols."""

from __future__ import annotations

import msgspec
from docs.generate.paper import Cells, grid, page
from tests.conformance.matrix.page import tables
from tests.oracle.clients.table import COLUMNS, RESULTS, Results


def clients() -> str:
    results = msgspec.json.decode(RESULTS.read_bytes(), type=Results)
    rows: list[Cells] = [(row.client, row.version, f"`{row.door}`", *(row.cells[name] for name in COLUMNS)) for row in results.rows]
    return page(
        "Clients",
        f"What each client got from the server on {results.date}, in these versions. `make test` runs the same scripts, which lie in\n"
        "`tests/oracle/clients`, and fails where the table is no longer true; `make clients` writes it anew.\n\n"
        "Behind the server were a deployment that speaks OpenAI's protocol and one that speaks Anthropic's; *yes* means both.\n"
        "A dash: the protocol or the client has no such thing."
        + " *Not yet*: the check is written and does not pass yet; the reason stands in `tests/oracle/clients/table.py`."
        * any("not yet" in row.cells.values() for row in results.rows),
        grid(("client", "version", "route", *COLUMNS), rows),
        "The text of an answer is held against what the model said, whole and in pieces. *tools*: the call of a tool with its arguments,\n"
        "its result sent back and the answer to that, whole and streamed. *structured*: an object of the client's own type.\n"
        "*errors*: a wrong key, an unknown model and a malformed request each become the client's own error for it.",
    )


def conformance() -> str:
    parts: list[str] = []
    for table in tables():
        parts += [text for text in (f"## {table.title}" * bool(table.title), table.lead) if text]
        parts.append(grid(table.headers, list(table.lines)))
    return page(
        "Conformance",
        "What becomes of each feature between the protocol that a client speaks and the one that an upstream speaks. `make test`\n"
        "works out every cell anew from `tests/conformance/matrix`, and fails where something vanishes that is not named here.",
        "*as is*: the same protocol on both sides, forwarded with every value as it came. *yes*: carried. *part*: carried, less what\n"
        "is named below the table. *named*: not carried, and named as lost in the record and in `trimtab explain`. *refused*: an\n"
        "error that names it. *unread*: not read from the upstream's answer. A table lists what its client's protocol has; a dash is\n"
        "what the upstream's protocol has not. Converse takes some fields for Anthropic's models only. A name such as\n"
        "`messages.1.content.0` counts messages as the client's body does, from 0.",
        *parts,
    )
