"""SQL of what one call changes about profiles: the profiles, their identifiers, visits, and who stays apart.

Set-based: a constant number of statements, however many rows.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from cdp.sql import Answer, ask, run
from profiles.models import Profile
from profiles.pairs import suggestions
from profiles.tracking.ingest.call_plan import IdentifierGrant, Plan
from profiles.tracking.ingest.candidates import CandidateProfile
from profiles.tracking.ingest.event_sql import as_json
from profiles.tracking.ingest.identifiers import Key, SentIdentifier

_COLUMNS = ", ".join(Profile.FIELDS)
_RECORD = ", ".join(f"{name} {'date' if name == 'birth_date' else 'text'}" for name in Profile.FIELDS)


# Last seen to five minutes: more would be a row for every call.
_VISIT_AFTER = datetime.timedelta(minutes=5)

StoredIdentifier = tuple[int, str, int]  # type id, value, id of the member that holds it
StoredValue = tuple[int, str, str]  # root or member, journal key, value as JSON
# In the detail of a journal entry: a call with a page's key wrote it.
FROM_PAGE = {"from_page": True}


def assign_ids(new: Sequence[CandidateProfile]) -> None:
    """Give new profiles their ids, so that everything about them can be written at once. One query, or none."""
    if not new:
        return
    table = Profile._meta.db_table
    rows = run(
        f"SELECT nextval(pg_get_serial_sequence('{table}', 'id')) FROM generate_series(1, %s)", [len(new)]
    )
    for profile, (pk,) in zip(new, rows, strict=True):
        profile.id = pk


def insert_profiles(
    new: Sequence[CandidateProfile], values: dict[int, dict[str, Any]], source_id: int
) -> None:
    """Write new profiles that have their ids; ``values`` by ``id()`` are their columns and ``attributes``. One query."""
    if not new:
        return
    rows = [
        {
            "id": profile.id,
            "attributes": {},
            **values.get(id(profile), {}),
            "is_recognized": profile.is_recognized,
            "since": profile.active_from,
            "until": profile.active_until,
        }
        for profile in new
    ]
    ask(
        f"""
        INSERT INTO profiles_profile (id, canonical_id, status, source_id, is_recognized, first_seen_at,
            last_seen_at, attributes, {_COLUMNS})
        SELECT id, id, 'live', %(source)s, is_recognized, since, until, attributes, {_COLUMNS}
        FROM jsonb_to_recordset(%(rows)s::jsonb) AS n (id bigint, is_recognized boolean, since timestamptz,
            until timestamptz, attributes jsonb, {_RECORD})
        """,
        {"source": source_id, "rows": as_json(rows)},
    )


@dataclass(slots=True)
class LockedProfile:
    """A profile's row, locked: what ``get_value`` and ``set_value`` need of a Profile, at a fraction of its cost."""

    pk: int
    canonical_id: int
    status: str
    attributes: dict[str, Any]
    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None
    street: str | None
    postcode: str | None
    city: str | None
    state: str | None
    country: str | None
    birth_date: datetime.date | None
    gender: str | None
    language: str | None


def lock_profiles(ids: Iterable[int]) -> dict[int, LockedProfile]:
    """These rows, locked until the transaction ends, in the order of ``graph.lock_profiles``. One query.

    As they are now: each is read again once it is locked.
    """
    rows = run(
        f"SELECT id, canonical_id, status, attributes, {_COLUMNS} FROM profiles_profile"
        " WHERE id = ANY(%b::bigint[]) ORDER BY canonical_id = id, id FOR NO KEY UPDATE",
        [sorted(set(ids))],
    )
    return {
        pk: LockedProfile(pk, root, status, orjson.loads(attributes), *values)
        for pk, root, status, attributes, *values in rows
    }


# Whether the identifiers of a profile's members make it a recognized person.
_HAS_MAIN = """
    EXISTS (SELECT FROM profiles_profile m JOIN profiles_identifier i ON i.profile_id = m.id AND i.resolves
        JOIN profiles_identifiertype t ON t.id = i.type_id AND t.is_main AND t.is_unique AND t.strength = 'hard'
        WHERE m.canonical_id = p.id)
"""


def update_profiles(rows: Sequence[dict[str, Any]]) -> None:
    """Write back changed profiles whose rows are locked: every column, one statement.

    Who became recognized is seen in the identifiers that are there now, for those the call takes for it.
    """
    if not rows:
        return
    sets = ", ".join(f"{name} = d.{name}" for name in Profile.FIELDS)
    ask(
        f"""
        UPDATE profiles_profile p SET {sets}, attributes = d.attributes,
            is_recognized = p.is_recognized OR (d.is_recognized AND {_HAS_MAIN}), version = p.version + 1, updated_at = now()
        FROM jsonb_to_recordset(%s::jsonb) AS d (id bigint, is_recognized boolean, attributes jsonb, {_RECORD})
        WHERE p.id = d.id
        """,
        [as_json(list(rows))],
    )


# Who said a value last: of the members' entries that set it, the newest.
_FROM_PAGES = """
    SELECT DISTINCT ON (w.root, w.name, w.value) w.root, w.name, w.value, c.detail @> %(from_page)s::jsonb
    FROM unnest(%(roots)b::bigint[], %(names)b::text[], %(values)b::text[]) AS w (root, name, value)
    JOIN profiles_profile m ON m.canonical_id = w.root
    CROSS JOIN LATERAL (
        SELECT c.id, c.at, c.detail FROM profiles_change c
        WHERE c.profile_id = m.id AND c.kind IN ('created', 'updated') AND c.fields -> w.name -> 1 = w.value::jsonb
        ORDER BY c.at DESC, c.id DESC LIMIT 1
    ) c
    ORDER BY w.root, w.name, w.value, c.at DESC, c.id DESC
"""


def values_from_pages(values: Collection[StoredValue]) -> set[StoredValue]:
    """Which of these stored values a page's call set. One query, none without values."""
    if not values:
        return set()
    roots, names, texts = (list(column) for column in zip(*sorted(values), strict=True))
    params = {"roots": roots, "names": names, "values": texts, "from_page": as_json(FROM_PAGE)}
    return {(root, name, text) for root, name, text, is_from_page in run(_FROM_PAGES, params) if is_from_page}


# --- Values that lost -----------------------------------------------------------------------------------

# Alternates of one field of a profile that calls may add up to: everybody can send with a page's key.
MOST_ALTERNATES = 20
_ALTERNATES = """
    WITH lost AS (
        SELECT w.*, row_number() OVER (PARTITION BY w.profile_id, w.field ORDER BY w.value) + (
            SELECT count(*) FROM profiles_alternate a WHERE a.profile_id = w.profile_id AND a.field = w.field
        ) AS place
        FROM unnest(%(profiles)b::bigint[], %(fields)b::text[], %(values)b::text[]) AS w (profile_id, field, value)
        WHERE NOT EXISTS (
            SELECT FROM profiles_alternate a WHERE a.profile_id = w.profile_id AND a.field = w.field
                AND md5(a.value::text) = md5(w.value::jsonb::text)
        )
    ), kept AS (
        INSERT INTO profiles_alternate (profile_id, field, value, source_id)
        SELECT profile_id, field, value::jsonb, %(source)s FROM lost WHERE place <= %(most)s
        ORDER BY profile_id, field, value
        ON CONFLICT DO NOTHING
    )
    SELECT profile_id, field, value FROM lost WHERE place > %(most)s
"""


def insert_alternates(rows: Collection[StoredValue], source_id: int) -> Answer[set[StoredValue]]:
    """Keep values that lost, as (member, journal key, value as JSON); those there is no room for. One query."""
    members, names, values = (list(column) for column in zip(*sorted(rows), strict=True))
    params = {
        "profiles": members,
        "fields": names,
        "values": values,
        "source": source_id,
        "most": MOST_ALTERNATES,
    }
    return ask(_ALTERNATES, params, read=set)


# --- Identifiers ----------------------------------------------------------------------------------------


def identifier_row(grant: IdentifierGrant) -> StoredIdentifier:
    """The row an identifier is kept as: of the member whose identifier resolved, or of the profile itself."""
    member_id = grant.resolution.member_id or grant.resolution.profile.survivor().id
    return (*grant.identifier.key, member_id)


_IDENTIFIERS = """
    INSERT INTO profiles_identifier (type_id, value, raw, profile_id, source_id, resolves, is_verified,
        is_pending, first_seen_at, last_seen_at)
    SELECT type_id, value, raw, profile_id, %(source)s, resolves, is_verified, is_pending, at, at
    FROM unnest(%(types)b::int[], %(values)b::text[], %(raws)b::text[], %(profiles)b::bigint[],
        %(resolves)b::boolean[], %(verified)b::boolean[], %(pending)b::boolean[], %(ats)b::timestamptz[])
        AS n (type_id, value, raw, profile_id, resolves, is_verified, is_pending, at)
    ON CONFLICT (profile_id, type_id, value) DO UPDATE SET
        resolves = profiles_identifier.resolves OR excluded.resolves,
        is_pending = profiles_identifier.is_pending AND NOT excluded.resolves,
        is_verified = profiles_identifier.is_verified OR excluded.is_verified,
        last_seen_at = greatest(profiles_identifier.last_seen_at, excluded.last_seen_at)
    WHERE (excluded.resolves AND NOT profiles_identifier.resolves)
        OR (excluded.is_verified AND NOT profiles_identifier.is_verified)
    RETURNING type_id, value, profile_id
"""


def insert_identifiers(plan: Plan, source_id: int) -> Answer[set[StoredIdentifier]]:
    """Write identifiers; a value resolves to whoever owns it at the end of the call. The rows that are new.

    A value that waits for confirmation waits no longer once a source that asks for none brings it, too.
    A value somebody else takes at this moment breaks its constraint; then the call is done again.
    """
    # A value that went from one to the other resolves by the last row only, also when the two were merged later.
    resolving: dict[Key, StoredIdentifier] = {}
    for grant in plan.grants:
        owner = plan.owners.get(grant.identifier.key)
        profile = grant.resolution.profile.survivor()
        if grant.may_resolve and owner is not None and owner.survivor() is profile:
            resolving[grant.identifier.key] = identifier_row(grant)
    rows: dict[StoredIdentifier, tuple[SentIdentifier, bool, datetime.datetime]] = {}
    for grant in plan.grants:
        identifier, row = grant.identifier, identifier_row(grant)
        resolves = grant.may_resolve and resolving.get(identifier.key) == row
        rows.setdefault(row, (identifier, resolves, grant.resolution.item.occurred_at))
    if not rows:
        return Answer.of(set())
    ordered = sorted(rows)
    picked = [rows[key] for key in ordered]
    return ask(
        _IDENTIFIERS,
        {
            "source": source_id,
            "types": [type_id for type_id, _, _ in ordered],
            "values": [value for _, value, _ in ordered],
            "raws": [sent.raw[:320] if sent.raw != sent.value else "" for sent, _, _ in picked],
            "profiles": [member_id for _, _, member_id in ordered],
            "resolves": [resolves for _, resolves, _ in picked],
            "verified": [sent.is_verified for sent, _, _ in picked],
            "pending": [sent.is_pending for sent, _, _ in picked],
            "ats": [at for _, _, at in picked],
        },
        read=set,
    )


def release_moved(plan: Plan) -> Answer[bool]:
    """Values that changed owner stop resolving to whoever had them; whether each of them still did. One query."""
    if not plan.released:
        return Answer.of(True)
    return ask(
        "UPDATE profiles_identifier SET resolves = false WHERE id = ANY(%b::bigint[]) AND resolves RETURNING id",
        [sorted(plan.released)],
        read=lambda rows: len(rows) == len(plan.released),
    )


def touch_identifiers(touched: Mapping[int, tuple[datetime.datetime, bool]]) -> None:
    """Seen again, or verified now. One query."""
    if not touched:
        return
    ids = sorted(touched)
    ask(
        """
        WITH d AS (
            SELECT i.id, s.at, s.verified FROM profiles_identifier i
            JOIN unnest(%b::bigint[], %b::timestamptz[], %b::boolean[]) AS s (id, at, verified) ON s.id = i.id
            ORDER BY i.id FOR NO KEY UPDATE OF i
        )
        UPDATE profiles_identifier i SET last_seen_at = greatest(i.last_seen_at, d.at),
            is_verified = i.is_verified OR d.verified
        FROM d WHERE d.id = i.id
        """,
        [ids, [touched[pk][0] for pk in ids], [touched[pk][1] for pk in ids]],
    )


def write_intervals(plan: Plan) -> Answer[bool]:
    """Whose soft values were when: ends of stored intervals, then new ones. Two queries.

    Whether the stored ones that end now were open still. Those that had ended before stay as they are.
    """
    rows = [(key, interval) for key, intervals in sorted(plan.moved.items()) for interval in intervals]
    if not rows:
        return Answer.of(True)
    ended = [
        (interval.row_id, interval.end)
        for _, interval in rows
        if interval.row_id and interval.is_open and interval.end is not None
    ]
    answer = ask(
        "UPDATE profiles_linkinterval l SET ended_at = d.at FROM unnest(%b::bigint[], %b::timestamptz[]) AS d (id, at)"
        " WHERE l.id = d.id AND l.ended_at IS NULL RETURNING l.id",
        [[pk for pk, _ in ended], [at for _, at in ended]],
        read=lambda rows: len(rows) == len(ended),
    )
    new = [(key, interval) for key, interval in rows if not interval.row_id]
    ask(
        "INSERT INTO profiles_linkinterval (type_id, value, profile_id, started_at, ended_at)"
        " SELECT * FROM unnest(%b::int[], %b::text[], %b::bigint[], %b::timestamptz[], %b::timestamptz[])",
        [
            [type_id for (type_id, _), _ in new],
            [value for (_, value), _ in new],
            [interval.member_id or interval.profile.survivor().id for _, interval in new],
            [interval.start for _, interval in new],
            [interval.end for _, interval in new],
        ],
    )
    return answer


# --- Tags -----------------------------------------------------------------------------------------------

_TAGS = """
    INSERT INTO profiles_profiletag (profile_id, tag_id, source_id)
    SELECT w.member_id, w.tag_id, %(source)s
    FROM unnest(%(members)b::bigint[], %(tags)b::int[]) AS w (member_id, tag_id)
    WHERE NOT EXISTS (
        SELECT FROM profiles_profile me JOIN profiles_profile m ON m.canonical_id = me.canonical_id
        JOIN profiles_profiletag t ON t.profile_id = m.id AND t.tag_id = w.tag_id WHERE me.id = w.member_id
    )
    ON CONFLICT DO NOTHING RETURNING profile_id, tag_id
"""


def insert_tags(rows: Sequence[tuple[int, int]], source_id: int) -> set[tuple[int, int]]:
    """Put tags on, as (member, tag); those that no member of the profile had. One query."""
    members, tags = ([row[part] for row in rows] for part in (0, 1))
    return {
        (member, tag) for member, tag in run(_TAGS, {"members": members, "tags": tags, "source": source_id})
    }


def count_change(root_ids: Collection[int]) -> None:
    """Profiles whose rows are locked changed in what is not on them. One query."""
    ask(
        "UPDATE profiles_profile SET version = version + 1, updated_at = now() WHERE id = ANY(%b::bigint[])",
        [sorted(root_ids)],
    )


# --- Visits ---------------------------------------------------------------------------------------------


def insert_visits(plan: Plan) -> None:
    """When stored profiles were active, to five minutes, for ``last_seen`` to take over. One statement, or none."""
    visits = {}
    for resolution in plan.resolutions:
        profile = resolution.profile.survivor()
        start, end = profile.active_from, profile.active_until
        if profile.is_new or start is None or end is None:
            continue
        first, last = profile.first_seen_at, profile.last_seen_at
        if first is None or last is None or start < first or end - last > _VISIT_AFTER:
            visits[profile.id] = (resolution.member_id or profile.id, start, end)
    if visits:
        ask(
            "INSERT INTO profiles_visit (profile_id, since, until)"
            " SELECT * FROM unnest(%b::bigint[], %b::timestamptz[], %b::timestamptz[])",
            [list(column) for column in zip(*visits.values(), strict=True)],
        )


# --- Profiles that stay apart ---------------------------------------------------------------------------


def suggest_duplicates(plan: Plan, source_name: str) -> None:
    """Profiles that share a value but stay apart become duplicate suggestions. One query."""
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for apart in plan.kept_apart:
        low, high = sorted((apart.profile.survivor().id, apart.owner.survivor().id))
        if low == high or apart.reason:
            continue
        name, value = apart.identifier.spec.name, apart.identifier.value
        reason = {
            "code": "shared_identifier",
            "type": name,
            "value": value,
            "source": source_name,
            "text": f"Both came with the {name} {value}.",
        }
        rows.setdefault((low, high), reason)
    suggestions.suggest(rows)


def insert_held_merges(plan: Plan, source_id: int) -> None:
    """Merges the circuit breaker stopped, for staff to decide; one asked for again is counted. One query."""
    rows = {
        (apart.identifier.spec.id, apart.identifier.value, profile.id, owner.id): apart
        for apart in plan.kept_apart
        if apart.reason and (profile := apart.profile.survivor()) is not (owner := apart.owner.survivor())
    }
    if not rows:
        return
    keys = sorted(rows)
    ask(
        """
        INSERT INTO profiles_heldmerge (source_id, reason, type_id, value, profile_id, other_id, people, count, state)
        SELECT %s, reason, type_id, value, profile_id, other_id, people, 1, 'open'
        FROM unnest(%b::text[], %b::int[], %b::text[], %b::bigint[], %b::bigint[], %b::int[])
            AS d (reason, type_id, value, profile_id, other_id, people)
        ON CONFLICT (type_id, value, profile_id, other_id) WHERE state = 'open'
        DO UPDATE SET count = profiles_heldmerge.count + 1, last_at = now()
        """,
        [
            source_id,
            [rows[key].reason for key in keys],
            [type_id for type_id, *_ in keys],
            [value for _, value, *_ in keys],
            [profile_id for *_, profile_id, _ in keys],
            [owner_id for *_, owner_id in keys],
            [rows[key].profile_count for key in keys],
        ],
    )
