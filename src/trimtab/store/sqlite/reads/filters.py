"""What a filter chooses, in SQL: text that stands once, and the values that belong to its names.

Constants that are put together out of constants; no value ever becomes part of a text.
"""

from __future__ import annotations

from trimtab.store.base import Filter

WITHIN = "(:place IS NULL OR place = :place OR (place >= :below AND place < :beyond))"

WANTED = f"""(:key_id IS NULL OR r.key_id = :key_id)
             AND {WITHIN}
             AND (:owner IS NULL OR r.owner = :owner)
             AND (:tag IS NULL OR EXISTS (SELECT 1 FROM request_tags WHERE id = r.id AND tag = :tag))
             AND (:deployment IS NULL OR r.deployment = :deployment
                  OR EXISTS (SELECT 1 FROM attempts WHERE id = r.id AND deployment = :deployment))"""  # noqa: S608 - see above
"""All but the time, of ``requests AS r``."""

SETTLED = f"""r.outcome IS NOT NULL
              AND r.at_ns >= coalesce(:since_ns, -9223372036854775808)
              AND (:until_ns IS NULL OR r.at_ns < :until_ns)
              AND {WANTED}"""
"""Those that sums are made of, found by their time."""

Parameters = dict[str, int | str | None]


def parameters(where: Filter) -> Parameters:
    return {
        "since_ns": where.since_ns,
        "until_ns": where.until_ns,
        "key_id": where.key_id,
        "owner": where.owner,
        "tag": where.tag,
        "deployment": where.deployment,
        **within(where.place),
    }


def within(place: str | None) -> Parameters:
    """What lies at or below ``place``: all paths between ``place/`` and ``place0``, since ``0`` is the character after ``/``."""
    return {"place": place or None, "below": f"{place}/", "beyond": f"{place}0"}
