"""What the first sensitivity detector finds and what it flags for nothing, on the data sets of ``TRIMTAB_DATA``.

Run: ``python bench/sensitivity.py``. Recall counts a text as found when any class was reported for it; the set labels much that is no
identifier (names, places, years, organisations), so recall is given per label, over texts whose only labels of our kinds are that one.
False positives are counted on the benchmark questions of ``router/``, which hold no personal data apart from what their authors invented,
and on the texts of the PII set that carry no label.
"""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from trimtab.signals.sensitivity import Found, scan

DATA = Path(os.environ.get("TRIMTAB_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))

# What the detector is for. The other labels (names, places, organisations, titles, ages, years, URLs) are not.
OURS = """
CREDIT_CARD IBAN IBAN_CODE EMAIL EMAIL_ADDRESS PHONE PHONE_NUMBER US_SSN SSN IP_ADDRESS US_DRIVER_LICENSE DRIVER_LICENSE
DRIVER_LICENSE_NUM LICENSE PASSPORT PASSWORD PAN AADHAR TAX_ID TAXID ACCOUNT ACCOUNT_NUMBER BANK_ACCOUNT BANK_ACCOUNT_NUM
ROUTING_NUMBER PID PATIENT_ID MEDICAL_RECORD USER_ID VOTER_ID EMPLOYEE_ID
"""


def rows(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rb") as file:
        yield from map(msgspec.json.decode, file)


def interval(hits: int, n: int) -> str:
    """Wilson, 95 %."""
    if not n:
        return "-"
    z, share = 1.96, hits / n
    centre, half = share + z * z / (2 * n), z * ((share * (1 - share) + z * z / (4 * n)) / n) ** 0.5
    low, high = max(0.0, centre - half) / (1 + z * z / n), min(1.0, (centre + half) / (1 + z * z / n))
    return f"{100 * share:5.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def recall() -> None:
    wanted = OURS.split()
    texts, spans, found, covered = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    clean = flagged = ours = ours_found = 0
    noise = Counter[str]()
    for row in rows("pii/pii"):
        kinds = {label for _, _, label in row["spans"]}
        result = scan((row["text"],))
        if not kinds:
            clean += 1
            flagged += bool(result.counts)
            noise.update(dict(result.counts))
        mine = kinds & set(wanted)
        ours += bool(mine)
        ours_found += bool(mine and result.classes)
        if len(mine) == 1:
            (label,) = mine
            texts[label] += 1
            found[label] += bool(result.classes)
        for begin, end, label in row["spans"]:
            if label in wanted:
                spans[label] += 1
                covered[label] += bool(scan((row["text"][begin:end],)).classes)
    print("label                 texts  flagged                        bare spans  flagged without their context")
    for label in wanted:
        if spans[label]:
            flagged_here, bare = interval(found[label], texts[label]), interval(covered[label], spans[label])
            flagged_here, bare = interval(found[label], texts[label]), interval(covered[label], spans[label])
            print(f"{label:20} {texts[label]:6}  {flagged_here:30} {spans[label]:6}      {bare}")
    print(f"texts with any of these labels: {ours}, flagged {interval(ours_found, ours)}")
    print(f"texts without any label: {clean}, flagged {interval(flagged, clean)} {dict(noise)}")


def false_positives() -> None:
    print("\nset                     prompts  flagged                      of which unreadable, types")
    for name in (
        "routellm_gsm8k",
        "routellm_mmlu",
        "mmlu_pro_tiger",
        "zeroeval_crux",
        "zeroeval_math_l5",
        "llmrouter_uiuc_9models",
    ):
        results: list[Found] = [scan((row["prompt"],)) for row in rows(f"router/{name}")]
        hits = [result for result in results if result.classes]
        kinds = Counter(kind for result in hits for kind, _ in result.counts)
        unreadable = sum(bool(result.problems) for result in hits)
        print(f"{name:23} {len(results):7}  {interval(len(hits), len(results)):28} {unreadable}, {dict(kinds)}")


if __name__ == "__main__":
    recall()
    false_positives()
