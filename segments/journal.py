"""People → what the journal says changed in them, over all their members, in order; to evaluate rules about the past in Python."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from profiles.models import Change
from segments.person import Person, loaders

LOADER = "journal"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One operation: ``fields`` as ``Change.fields``."""

    at: datetime.datetime
    kind: str
    fields: dict[str, Any]


def _load(people: dict[int, Person], owner: dict[int, int]) -> None:
    for person in people.values():
        person.extra[LOADER] = []
    rows = Change.objects.filter(profile__in=owner).exclude(fields={}).order_by("at", "pk")
    for profile_id, at, kind, fields in rows.values_list("profile_id", "at", "kind", "fields"):
        people[owner[profile_id]].extra[LOADER].append(JournalEntry(at, kind, fields))


loaders.register(LOADER, _load)


def entries_of(person: Person, field: str) -> Iterator[tuple[JournalEntry, Any, Any]]:
    """``(entry, old, new)`` of each entry that changed the field."""
    for entry in person.extra[LOADER]:
        if field in entry.fields:
            old, new = entry.fields[field]
            yield entry, old, new
