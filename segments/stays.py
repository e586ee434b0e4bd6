"""People → their stays in segments, over all their members: in Python, and as rows in SQL, for rules about past membership."""

from __future__ import annotations

import datetime
from collections import defaultdict
from dataclasses import dataclass

from profiles.models import Merge
from segments.models import Cause, Membership
from segments.person import Person, loaders
from segments.query import RuleQuery

LOADER = "stays"


@dataclass(frozen=True, slots=True)
class Stay:
    """``until`` is None while it goes on. An absorbed stay went on until the merge, and then as that of the survivor.

    ``is_entry``: False where somebody merged into them was in already, so that they did not come in by that merge.
    """

    entered_at: datetime.datetime
    left_at: datetime.datetime | None
    until: datetime.datetime | None
    is_entry: bool


def _load(people: dict[int, Person], owner: dict[int, int]) -> None:
    """``{segment: stays}`` of each person, in order."""
    rows = list(Membership.objects.filter(profile__in=owner).order_by("entered_at", "pk"))
    absorbed = {row.absorbed_by for row in rows if row.absorbed_by is not None}
    merged_at = dict(Merge.objects.filter(pk__in=absorbed).values_list("pk", "created_at"))
    begun: dict[tuple[int, int], datetime.datetime] = {}
    for row in rows:
        if row.absorbed_by is not None:
            begun.setdefault((owner[row.profile_id], row.segment_id), row.entered_at)
    stays: dict[int, dict[int, list[Stay]]] = {pk: defaultdict(list) for pk in people}
    for row in rows:
        root_id = owner[row.profile_id]
        until = row.left_at
        if until is None and row.absorbed_by is not None:
            until = merged_at.get(row.absorbed_by, row.entered_at)
        earlier = begun.get((root_id, row.segment_id))
        is_heir = (
            row.entered_by == Cause.MERGE
            and row.absorbed_by is None
            and earlier is not None
            and earlier <= row.entered_at
        )
        stays[root_id][row.segment_id].append(Stay(row.entered_at, row.left_at, until, not is_heir))
    for pk, person in people.items():
        person.extra[LOADER] = dict(stays[pk])


loaders.register(LOADER, _load)


def stays_in(person: Person, segment_id: int) -> list[Stay]:
    found: dict[int, list[Stay]] = person.extra[LOADER]
    return found.get(segment_id, [])


# The end of a row s, null while it goes on; g is the merge that absorbed it.
UNTIL = (
    "COALESCE(s.left_at, CASE WHEN NOT s.absorbed_by IS NULL THEN COALESCE(g.created_at, s.entered_at) END)"
)


def rows_of_stays(query: RuleQuery) -> tuple[str, str]:
    """As ``rows_of_members``: the rows s of the members' stays."""
    return query.rows_of_members("segments_membership", "s")


def rows_with_merges(query: RuleQuery) -> tuple[str, str]:
    """The same with the merges g that ``UNTIL`` needs."""
    rows, root = rows_of_stays(query)
    return f"{rows} LEFT JOIN profiles_merge g ON g.id = s.absorbed_by", root


def is_entry(root: str) -> str:
    """``Stay.is_entry`` of a row s whose surviving profile is ``root``."""
    return (
        "NOT (s.entered_by = 'merge' AND s.absorbed_by IS NULL AND EXISTS (SELECT 1 FROM segments_membership x"
        " JOIN profiles_profile xm ON xm.id = x.profile_id WHERE x.segment_id = s.segment_id"
        f" AND NOT x.absorbed_by IS NULL AND x.entered_at <= s.entered_at AND xm.canonical_id = {root}))"
    )
