"""What is known about the ids of a call, read by a constant number of queries, and people as it deals with them."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from cdp.sql import ask, run
from profiles.models import Profile
from profiles.tracking.ingest.identifiers import Claims, Key


@dataclass(slots=True, eq=False)
class Person:
    """A surviving profile, stored or about to be. ``id`` is 0 until a new one is written.

    ``values`` are the identifiers it holds by type, loaded only for people whose limits matter.
    ``joined`` is whom this one was merged into by the call itself.
    """

    id: int
    is_recognized: bool = False
    is_locked: bool = False
    last_seen_at: datetime.datetime | None = None
    first_seen_at: datetime.datetime | None = None
    is_new: bool = False
    is_gone: bool = False  # deleted: what belonged to them then is nobody's to be given to
    values: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    joined: Person | None = None
    # The span of what this call says they did.
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None

    def now(self) -> Person:
        """Who this person is by now, after the call's joins so far."""
        person = self
        while person.joined is not None:
            person = person.joined
        return person

    def saw(self, at: datetime.datetime) -> None:
        self.since = at if self.since is None else min(self.since, at)
        self.until = at if self.until is None else max(self.until, at)


@dataclass(slots=True)
class Hit:
    """Where a value leads: the person, and the member that holds it (0: the new person itself)."""

    person: Person
    member_id: int
    identifier_id: int = 0
    last_seen_at: datetime.datetime | None = None
    is_verified: bool = False


@dataclass(slots=True)
class Interval:
    """When a soft value belonged to a person; ``row_id`` is 0 until written."""

    person: Person
    member_id: int
    start: datetime.datetime | None
    end: datetime.datetime | None
    row_id: int = 0

    def holds(self, at: datetime.datetime) -> bool:
        return (
            not self.person.is_gone
            and (self.start is None or self.start <= at)
            and (self.end is None or at < self.end)
        )


@dataclass(slots=True)
class Known:
    """``owners`` by identifier; ``intervals`` and ``shared`` of soft values that changed hands or may not."""

    owners: dict[Key, Hit] = field(default_factory=dict)
    intervals: dict[Key, list[Interval]] = field(default_factory=dict)
    shared: set[Key] = field(default_factory=set)
    people: dict[int, Person] = field(default_factory=dict)

    def person(
        self,
        root_id: int,
        is_recognized: bool,
        is_locked: bool,
        first: datetime.datetime | None,
        last: datetime.datetime | None,
    ) -> Person:
        found = self.people.get(root_id)
        if found is None:
            found = self.people[root_id] = Person(root_id, is_recognized, is_locked, last, first)
        return found


_OWNERS = """
    SELECT i.type_id, i.value, i.id, i.profile_id, i.last_seen_at, i.is_verified,
        r.id, r.is_recognized, r.is_locked, r.first_seen_at, r.last_seen_at
    FROM unnest(%(types)b::int[], %(values)b::text[]) AS w (type_id, value)
    JOIN profiles_identifier i ON i.type_id = w.type_id AND i.value = w.value AND i.resolves
    JOIN profiles_profile m ON m.id = i.profile_id
    JOIN profiles_profile r ON r.id = m.canonical_id AND r.status = 'live'
"""
_LINKS = """
    SELECT l.id, l.type_id, l.value, l.started_at, l.ended_at, l.profile_id,
        r.status <> 'live', r.id, r.is_recognized, r.is_locked, r.first_seen_at, r.last_seen_at
    FROM unnest(%(types)b::int[], %(values)b::text[]) AS w (type_id, value)
    JOIN profiles_linkinterval l ON l.value = w.value AND l.type_id = w.type_id
    JOIN profiles_profile m ON m.id = l.profile_id
    JOIN profiles_profile r ON r.id = m.canonical_id
    UNION ALL
    SELECT 0, h.type_id, h.value, NULL, NULL, 0, false, 0, false, false, NULL, NULL
    FROM unnest(%(types)b::int[], %(values)b::text[]) AS w (type_id, value)
    JOIN profiles_heldjoin h ON h.value = w.value AND h.type_id = w.type_id AND h.state = 'shared'
    ORDER BY 4 NULLS FIRST, 5 NULLS LAST, 1
"""
_HELD = """
    SELECT m.canonical_id, i.type_id, i.value
    FROM profiles_identifier i JOIN profiles_profile m ON m.id = i.profile_id
    WHERE i.resolves AND m.id IN (SELECT id FROM profiles_profile WHERE canonical_id = ANY(%b::bigint[]))
"""


def ask_known(keys: Collection[Key], soft: Collection[Key]) -> Callable[[], Known]:
    """Owners of the keys, and the history of the soft ones. Two queries, one without soft ids, read when called."""
    owners = ask(_OWNERS, _columns(keys)) if keys else None
    links = ask(_LINKS, _columns(soft)) if soft else None

    def read() -> Known:
        known = Known()
        for type_id, value, pk, member, seen, verified, root, *rest in owners.value if owners else ():
            known.owners[type_id, value] = Hit(known.person(root, *rest), member, pk, seen, verified)
        for pk, type_id, value, start, end, member, is_gone, root, *rest in links.value if links else ():
            if pk == 0:
                known.shared.add((type_id, value))
                continue
            person = known.person(root, *rest)
            person.is_gone = is_gone
            interval = Interval(person, member, start, end, pk)
            known.intervals.setdefault((type_id, value), []).append(interval)
        return known

    return read


def _columns(keys: Iterable[Key]) -> dict[str, list[object]]:
    pairs = sorted(keys)
    return {"types": [kind for kind, _ in pairs], "values": [value for _, value in pairs]}


def near_new_ids(claims: Iterable[Claims], known: Known) -> set[Person]:
    """People whom items, ids and each other connect with a strong id that nobody has yet. No query."""
    parent: dict[object, object] = {}

    def top(one: object) -> object:
        while (up := parent.setdefault(one, one)) is not one:
            parent[one] = one = parent[up]
        return one

    new: list[object] = []
    people: set[Person] = set()
    for one in claims:
        first: object = None
        for claim in (*one.strong, *one.soft, *one.previous):
            key = claim.key
            hit = known.owners.get(key)
            found = [hit.person] if hit else []
            found += [interval.person for interval in known.intervals.get(key, ())]
            people.update(found)
            for node in (key, *found):
                first = top(node) if first is None else first
                parent[top(node)] = first
        if any(claim.key not in known.owners for claim in one.strong):
            new.append(first)
    tops = {top(one) for one in new}
    return {person for person in people if top(person) in tops}


def read_values(people: Iterable[Person]) -> None:
    """Fill in which identifiers these people hold. One query."""
    by_id = {person.id: person for person in people if person.id}
    if not by_id:
        return
    for root, type_id, value in run(_HELD, [list(by_id)]):
        by_id[root].values[type_id].add(value)


def take_ids(count: int) -> list[int]:
    """Ids for new profiles, so that everything about them can be written at once. One query."""
    if not count:
        return []
    rows = run(
        f"SELECT nextval(pg_get_serial_sequence('{Profile._meta.db_table}', 'id')) FROM generate_series(1, %s)",
        [count],
    )
    return [pk for (pk,) in rows]
