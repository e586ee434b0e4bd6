"""The identifiers of a call → whom they may resolve to: owners, earlier owners and shared devices.

A constant number of queries, however many items the call has.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from cdp.sql import ask, run
from profiles.tracking.ingest.identifiers import ItemIdentifiers, Key


@dataclass(slots=True, eq=False)
class CandidateProfile:
    """A surviving profile, stored or about to be. ``id`` is 0 until a new one is written.

    ``values`` are its identifiers by type, loaded only for profiles whose limits matter. ``merged_into`` is set
    when the call itself merges this profile; ``active_from`` and ``active_until`` span the call's items about it.
    """

    id: int
    is_recognized: bool = False
    is_locked: bool = False
    last_seen_at: datetime.datetime | None = None
    first_seen_at: datetime.datetime | None = None
    is_new: bool = False
    is_deleted: bool = False  # what belonged to it then can be given to nobody
    values: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    merged_into: CandidateProfile | None = None
    active_from: datetime.datetime | None = None
    active_until: datetime.datetime | None = None

    def survivor(self) -> CandidateProfile:
        """The profile that stands for this one after the call's merges so far."""
        profile = self
        while profile.merged_into is not None:
            profile = profile.merged_into
        return profile

    def record_activity(self, at: datetime.datetime) -> None:
        self.active_from = at if self.active_from is None else min(self.active_from, at)
        self.active_until = at if self.active_until is None else max(self.active_until, at)


@dataclass(slots=True)
class IdentifierOwner:
    """The profile a value resolves to, and the member that holds it (0: the new profile itself).

    ``last_seen_at`` is the row's, written once an hour; ``seen_until`` the newest item of this call that had both.
    """

    profile: CandidateProfile
    member_id: int
    identifier_id: int = 0
    last_seen_at: datetime.datetime | None = None
    is_verified: bool = False
    seen_until: datetime.datetime | None = None

    def record_seen(self, at: datetime.datetime) -> None:
        self.seen_until = at if self.seen_until is None else max(self.seen_until, at)

    def was_seen_after(self, at: datetime.datetime) -> bool:
        """By the row and this call alone; within the hour the events may say more."""
        return any(seen is not None and seen > at for seen in (self.last_seen_at, self.seen_until))


@dataclass(slots=True)
class OwnershipInterval:
    """When a soft value belonged to a profile; ``row_id`` is 0 until written, ``is_open`` says that the row has no end."""

    profile: CandidateProfile
    member_id: int
    start: datetime.datetime | None
    end: datetime.datetime | None
    row_id: int = 0
    is_open: bool = False

    def covers(self, at: datetime.datetime) -> bool:
        return (
            not self.profile.is_deleted
            and (self.start is None or self.start <= at)
            and (self.end is None or at < self.end)
        )


@dataclass(slots=True)
class KnownIdentifiers:
    """``owners`` by identifier; ``intervals`` of soft values that changed owner; ``shared`` devices.

    ``members`` are the members by which identifiers led to a profile: what is planned is right as long as they do.
    """

    owners: dict[Key, IdentifierOwner] = field(default_factory=dict)
    intervals: dict[Key, list[OwnershipInterval]] = field(default_factory=dict)
    shared: set[Key] = field(default_factory=set)
    profiles: dict[int, CandidateProfile] = field(default_factory=dict)
    members: dict[int, CandidateProfile] = field(default_factory=dict)

    def profile(
        self,
        root_id: int,
        is_recognized: bool,
        is_locked: bool,
        first: datetime.datetime | None,
        last: datetime.datetime | None,
    ) -> CandidateProfile:
        """One object for each profile, however many values lead to it."""
        profile = self.profiles.get(root_id)
        if profile is None:
            profile = CandidateProfile(root_id, is_recognized, is_locked, last, first)
            self.profiles[root_id] = profile
        return profile


_OWNERS = """
    SELECT i.type_id, i.value, i.id, i.profile_id, i.last_seen_at, i.is_verified,
        r.id, r.is_recognized, r.is_locked, r.first_seen_at, r.last_seen_at
    FROM unnest(%(types)b::int[], %(values)b::text[]) AS w (type_id, value)
    JOIN profiles_identifier i ON i.type_id = w.type_id AND i.value = w.value AND i.resolves
    JOIN profiles_profile m ON m.id = i.profile_id
    JOIN profiles_profile r ON r.id = m.canonical_id AND r.status = 'live'
"""
# Earlier owners; rows with id 0 are values that were decided to be shared devices.
_HISTORY = """
    SELECT l.id, l.type_id, l.value, l.started_at, l.ended_at, l.profile_id,
        r.status <> 'live', r.id, r.is_recognized, r.is_locked, r.first_seen_at, r.last_seen_at
    FROM unnest(%(types)b::int[], %(values)b::text[]) AS w (type_id, value)
    JOIN profiles_linkinterval l ON l.value = w.value AND l.type_id = w.type_id
    JOIN profiles_profile m ON m.id = l.profile_id
    JOIN profiles_profile r ON r.id = m.canonical_id
    UNION ALL
    SELECT 0, h.type_id, h.value, NULL, NULL, 0, false, 0, false, false, NULL, NULL
    FROM unnest(%(types)b::int[], %(values)b::text[]) AS w (type_id, value)
    JOIN profiles_heldmerge h ON h.value = w.value AND h.type_id = w.type_id AND h.state = 'shared'
    ORDER BY 4 NULLS FIRST, 5 NULLS LAST, 1
"""
_VALUES = """
    SELECT m.canonical_id, i.type_id, i.value
    FROM profiles_identifier i JOIN profiles_profile m ON m.id = i.profile_id
    WHERE i.resolves AND m.id IN (SELECT id FROM profiles_profile WHERE canonical_id = ANY(%b::bigint[]))
"""


def load_known(keys: Collection[Key], soft: Collection[Key]) -> Callable[[], KnownIdentifiers]:
    """Owners of the keys, and the history of the soft ones. Two queries, one without soft ids.

    They are sent now; what they say is read when the result is called.
    """
    owners = ask(_OWNERS, _columns(keys)) if keys else None
    history = ask(_HISTORY, _columns(soft)) if soft else None

    def read() -> KnownIdentifiers:
        known = KnownIdentifiers()
        for type_id, value, pk, member, seen, verified, root, *rest in owners.value if owners else ():
            owner = IdentifierOwner(known.profile(root, *rest), member, pk, seen, verified)
            known.owners[type_id, value] = owner
            known.members[member] = owner.profile
        for pk, type_id, value, start, end, member, is_deleted, root, *rest in (
            history.value if history else ()
        ):
            if pk == 0:
                known.shared.add((type_id, value))
                continue
            profile = known.profile(root, *rest)
            profile.is_deleted = is_deleted
            known.members[member] = profile
            interval = OwnershipInterval(profile, member, start, end, pk, end is None)
            known.intervals.setdefault((type_id, value), []).append(interval)
        return known

    return read


def _columns(keys: Iterable[Key]) -> dict[str, list[object]]:
    pairs = sorted(keys)
    return {"types": [type_id for type_id, _ in pairs], "values": [value for _, value in pairs]}


def profiles_near_new_identifiers(
    items: Iterable[ItemIdentifiers], known: KnownIdentifiers
) -> set[CandidateProfile]:
    """Profiles connected, through items and shared identifiers, with a strong identifier somebody else or nobody has. No query.

    Only these may be given one identifier more than their type allows, so only their values are to be loaded.
    """
    parents: dict[object, object] = {}

    def root_of(node: object) -> object:
        while (parent := parents.setdefault(node, node)) is not node:
            parents[node] = node = parents[parent]
        return node

    connected_with_new: list[object] = []
    profiles: set[CandidateProfile] = set()
    for item in items:
        first: object = None
        for identifier in (*item.strong, *item.soft, *item.previous):
            owner = known.owners.get(identifier.key)
            owners = [owner.profile] if owner else []
            owners += [interval.profile for interval in known.intervals.get(identifier.key, ())]
            profiles.update(owners)
            for node in (identifier.key, *owners):
                first = root_of(node) if first is None else first
                parents[root_of(node)] = first
        owners_of_strong = [known.owners.get(identifier.key) for identifier in item.strong]
        strong = {owner.profile if owner else None for owner in owners_of_strong}
        if None in strong or len(strong) > 1:
            connected_with_new.append(first)
    roots = {root_of(node) for node in connected_with_new}
    return {profile for profile in profiles if root_of(profile) in roots}


def load_values(profiles: Iterable[CandidateProfile]) -> None:
    """Fill in which identifiers these profiles hold. One query."""
    by_id = {profile.id: profile for profile in profiles if profile.id}
    if not by_id:
        return
    for root_id, type_id, value in run(_VALUES, [list(by_id)]):
        by_id[root_id].values[type_id].add(value)
