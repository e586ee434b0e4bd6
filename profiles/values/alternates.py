"""Surviving profiles → the values that lost to the ones they have: in merges, or as they came in with a file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from profiles.models import Alternate, Merge, Profile, Source
from profiles.values.merged_fields import SEEN, MergeRule, is_empty, row_values


def alternates(root_ids: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
    """``{root: [{"field", "value", "from_id"}]}``: values of members that the root's row does not have.

    A merged profile keeps its own values; where a choice put the loser's value over the winner's, the merge
    keeps the winner's. Lists are united by merging, numbers whose rule is *sum* added up: neither has alternates of that
    kind. What came in and did not
    become the profile's value also has ``source`` (its name), ``import_id``, ``line`` and ``at``. Profiles without any are
    left out. Three queries.
    """
    ids = list(root_ids)
    rows = {row.pk: row for row in Profile.objects.members_of(*ids).order_by("pk").defer("search")}
    overridden = (
        Merge.objects.active()
        .filter(loser__canonical_id__in=ids)
        .order_by("pk")
        .values_list("winner_id", "loser_id", "before", "rules", "choices")
    )
    kept: list[tuple[int, dict[str, Any]]] = []
    summed: dict[int, set[str]] = {}
    for winner_id, loser_id, before, rules, choices in overridden:
        summed[loser_id] = {
            field for field, rule in rules.items() if rule == MergeRule.SUM and field not in choices
        }
        rest = {field: value for field, value in before.items() if field not in summed[loser_id]}
        kept += [(winner_id, rest)] if winner_id in rows else []
    current = {pk: row_values(rows[pk]) for pk in ids if pk in rows}
    by_root: dict[int, list[dict[str, Any]]] = {}
    for member_id, values in [*_kept(rows, summed), *kept]:
        root_id = rows[member_id].canonical_id
        for field, value in values.items():
            if field in SEEN or is_empty(value) or isinstance(value, list):
                continue
            lost = by_root.setdefault(root_id, [])
            is_known = any(alternate["field"] == field and alternate["value"] == value for alternate in lost)
            if value != current[root_id].get(field) and not is_known:
                lost.append({"field": field, "value": value, "from_id": member_id})
    for root_id, alternate in _stored(ids):
        lost = by_root.setdefault(root_id, [])
        field, value = alternate["field"], alternate["value"]
        is_known = any(known["field"] == field and known["value"] == value for known in lost)
        if root_id in current and value != current[root_id].get(field) and not is_known:
            lost.append(alternate)
    return {root_id: lost for root_id, lost in by_root.items() if lost}


def _kept(
    rows: dict[int, Profile], summed: Mapping[int, Collection[str]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The own values of every merged row, but for those that are part of a sum."""
    for pk, row in rows.items():
        if pk != row.canonical_id:
            values = row_values(row)
            yield pk, {field: value for field, value in values.items() if field not in summed.get(pk, ())}


def _stored(root_ids: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(root, alternate) of the values that came in and lost, oldest first. One query."""
    rows = Alternate.objects.filter(profile__canonical_id__in=root_ids).order_by("pk")
    columns = (
        "profile__canonical_id",
        "field",
        "value",
        "profile_id",
        "source__name",
        "import_id",
        "line",
        "created_at",
    )
    for root_id, field, value, member_id, source, import_id, line_no, at in rows.values_list(*columns):
        yield (
            root_id,
            {
                "field": field,
                "value": value,
                "from_id": member_id,
                "source": source,
                "import_id": import_id,
                "line": line_no,
                "at": at,
            },
        )


def keep_alternate(*, profile_id: int, field: str, value: Any, source: Source) -> None:
    """Keep a value that the profile's own takes the place of; once, and not when there is none."""
    if not is_empty(value):
        Alternate.objects.bulk_create(
            [Alternate(profile_id=profile_id, field=field, value=value, source=source)], ignore_conflicts=True
        )
