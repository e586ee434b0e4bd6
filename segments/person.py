"""Ids of surviving profiles and what rules read → each person with all their merged members have, to evaluate in Python.

The twin of ``segments.query``: what conditions decide in SQL for everybody, ``holds`` and ``explain`` decide here for one.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdp.registry import Registry
from profiles.models import Event, Identifier, Profile, ProfileTag
from profiles.models.event import given_text
from segments.models import Membership

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PersonEvent:
    """One event; ``(at, id)`` is its place in time: equal times are in the order they arrived.

    ``page_name``: what a page or a screen is called.
    """

    id: int
    at: datetime.datetime
    properties: dict[str, Any]
    kind: str = "track"
    name: str = ""
    page_name: str = ""


@dataclass(frozen=True, slots=True)
class PersonIdentifier:
    type: str
    value: str
    resolves: bool
    is_verified: bool
    is_pending: bool


@dataclass(slots=True)
class Person:
    """A surviving profile. Only what the rule reads is loaded; the rest is empty.

    ``events`` by the id of their name, in their order; ``extra`` is what registered loaders filled in.
    """

    id: int
    columns: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    is_recognized: bool = False
    created_at: datetime.datetime | None = None
    first_seen_at: datetime.datetime | None = None
    last_seen_at: datetime.datetime | None = None
    source_id: int | None = None
    members: tuple[int, ...] = ()
    sources: frozenset[int] = frozenset()
    tags: frozenset[int] = frozenset()
    identifiers: tuple[PersonIdentifier, ...] = ()
    events: dict[int, list[PersonEvent]] = field(default_factory=dict)
    segments: dict[int, datetime.datetime] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reads:
    """What a rule reads, so that it is evaluated when one of these changes, and what a person is loaded with.

    ``fields`` are keys of the journal (``city``, ``attributes.plan``, ``tags``, ``identifiers``, ``consents``); ``events`` ids
    of event names, ``all_events`` every event; ``segments`` ids of segments; ``seen``: when somebody was seen; ``tokens`` whatever
    else a condition type queues by triggers of its own. ``calendar``: also the day changes it. ``address``: also
    changes of whoever has the same address. ``loads`` names the registered loaders (``loaders``) that fill ``Person.extra``.
    """

    fields: frozenset[str] = frozenset()
    events: frozenset[int] = frozenset()
    all_events: bool = False
    segments: frozenset[int] = frozenset()
    seen: bool = False
    calendar: bool = False
    address: bool = False
    tokens: frozenset[str] = frozenset()
    loads: frozenset[str] = frozenset()

    def __or__(self, other: Reads) -> Reads:
        return Reads(
            self.fields | other.fields,
            self.events | other.events,
            self.all_events or other.all_events,
            self.segments | other.segments,
            self.seen or other.seen,
            self.calendar or other.calendar,
            self.address or other.address,
            self.tokens | other.tokens,
            self.loads | other.loads,
        )

    @property
    def watched(self) -> frozenset[str]:
        """The tokens of ``Watch`` and ``QueueEntry``."""
        names = {f"field:{name}" for name in self.fields} | {f"event:{pk}" for pk in self.events}
        names |= {f"segment:{pk}" for pk in self.segments} | self.tokens
        if self.all_events:
            names.add("event:*")
        if self.seen:
            names.add("seen")
        return frozenset(names)


NOTHING = Reads()
# Fills ``Person.extra[its name]`` of these people, whose members and their roots it is given.
Loader = Callable[[dict[int, Person], dict[int, int]], None]
loaders: Registry[Loader] = Registry("The loader of people")


def load_people(root_ids: Iterable[int], reads: Reads) -> dict[int, Person]:
    """The live ones of these profiles. A fixed number of queries for any number of them."""
    roots = Profile.objects.live().filter(pk__in=list(root_ids))
    people = {root.pk: _person(root) for root in roots.defer("search")}
    members = Profile.objects.filter(canonical_id__in=people).order_by("pk")
    owner: dict[int, int] = {}
    for pk, root_id, source_id in members.values_list("pk", "canonical_id", "source_id"):
        owner[pk] = root_id
        person = people[root_id]
        person.members += (pk,)
        person.sources |= {source_id}
    _load_tags(people, owner, reads)
    _load_identifiers(people, owner, reads)
    _load_events(people, owner, reads)
    _load_segments(people, reads)
    for name in sorted(reads.loads):
        loaders[name](people, owner)
    return people


def _person(root: Profile) -> Person:
    return Person(
        root.pk,
        {name: getattr(root, name) for name in Profile.FIELDS},
        root.attributes,
        root.is_recognized,
        root.created_at,
        root.first_seen_at,
        root.last_seen_at,
        root.source_id,
    )


def _load_tags(people: dict[int, Person], owner: dict[int, int], reads: Reads) -> None:
    if "tags" not in reads.fields:
        return
    for profile_id, tag_id in ProfileTag.objects.filter(profile__in=owner).values_list(
        "profile_id", "tag_id"
    ):
        people[owner[profile_id]].tags |= {tag_id}


def _load_identifiers(people: dict[int, Person], owner: dict[int, int], reads: Reads) -> None:
    if "identifiers" not in reads.fields:
        return
    rows = Identifier.objects.filter(profile__in=owner).order_by("pk")
    for profile_id, *values in rows.values_list(
        "profile_id", "type__name", "value", "resolves", "is_verified", "is_pending"
    ):
        people[owner[profile_id]].identifiers += (PersonIdentifier(*values),)


def _load_events(people: dict[int, Person], owner: dict[int, int], reads: Reads) -> None:
    if not (reads.events or reads.all_events):
        return
    rows = Event.objects.filter(profile__in=owner)
    if not reads.all_events:
        rows = rows.filter(name__in=reads.events)
    by_name: dict[int, dict[int, list[PersonEvent]]] = defaultdict(lambda: defaultdict(list))
    columns = ("profile_id", "name_id", "pk", "occurred_at", "properties", "kind", "name__name", "envelope")
    for profile_id, name_id, pk, at, properties, kind, name, envelope in rows.order_by(
        "occurred_at", "pk"
    ).values_list(*columns):
        page = given_text("name", properties, envelope) if kind in ("page", "screen") else ""
        by_name[owner[profile_id]][name_id].append(PersonEvent(pk, at, properties, kind, name, page))
    for root_id, events in by_name.items():
        people[root_id].events = dict(events)


def _load_segments(people: dict[int, Person], reads: Reads) -> None:
    if not reads.segments:
        return
    current = Membership.objects.current().filter(profile__in=people, segment__in=reads.segments)
    for profile_id, segment_id, entered_at in current.values_list("profile_id", "segment_id", "entered_at"):
        people[profile_id].segments[segment_id] = entered_at


def load_person(root_id: int, reads: Reads) -> Person | None:
    """One live person; None for an id that is no surviving profile."""
    return load_people([root_id], reads).get(root_id)


def events_of(person: Person, name_ids: Sequence[int]) -> list[PersonEvent]:
    """The person's events of these names, in their order."""
    if len(name_ids) == 1:
        return person.events.get(name_ids[0], [])
    return sorted(
        (event for name_id in name_ids for event in person.events.get(name_id, [])),
        key=lambda event: (event.at, event.id),
    )
