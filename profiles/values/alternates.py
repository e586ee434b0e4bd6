"""Values that lost in a merge, derived from the rows that keep them (M5). Nothing is stored twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from profiles.models import Merge, Profile
from profiles.values.merged_fields import SEEN, is_empty, row_values


def alternates(root_ids: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
    """``{root: [{"field", "value", "from_id"}]}``: what members know that the root's row does not say.

    A merged profile keeps its own values; where a choice put the loser's value over the winner's, the merge
    keeps the winner's. Lists are united by merging and have no alternates. People without any are left out.
    Two queries.
    """
    ids = list(root_ids)
    rows = {row.pk: row for row in Profile.objects.members_of(*ids).order_by("pk").defer("search")}
    overridden = (
        Merge.objects.active()
        .filter(loser__canonical_id__in=ids)
        .order_by("pk")
        .values_list("winner_id", "before")
    )
    current = {pk: row_values(rows[pk]) for pk in ids if pk in rows}
    found: dict[int, list[dict[str, Any]]] = {}
    for member_id, values in [*_kept(rows), *((pk, before) for pk, before in overridden if pk in rows)]:
        root_id = rows[member_id].canonical_id
        for field, value in values.items():
            if field in SEEN or is_empty(value) or isinstance(value, list):
                continue
            others = found.setdefault(root_id, [])
            known = any(other["field"] == field and other["value"] == value for other in others)
            if value != current[root_id].get(field) and not known:
                others.append({"field": field, "value": value, "from_id": member_id})
    return {root_id: others for root_id, others in found.items() if others}


def _kept(rows: dict[int, Profile]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The own values of everybody merged away."""
    for pk, row in rows.items():
        if pk != row.canonical_id:
            yield pk, row_values(row)
