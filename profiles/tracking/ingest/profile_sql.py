"""The SQL of what one call changes about people: profiles, their identifiers, and who stays apart. Set-based.

New profiles, then identifiers (in key order), then events; rows of people are locked last and in id order, and
only of those that change. Merges go through the one merge verb.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from cdp.sql import Answer, ask, run
from profiles.models import Profile
from profiles.pairs import suggestions
from profiles.tracking.ingest.candidates import Interval, Person, take_ids
from profiles.tracking.ingest.event_sql import as_json
from profiles.tracking.ingest.identifiers import Claim
from profiles.tracking.ingest.identity_resolution import Attach, Clash, Decided

_COLUMNS = ", ".join(Profile.FIELDS)
_RECORD = ", ".join(f"{name} {'date' if name == 'birth_date' else 'text'}" for name in Profile.FIELDS)


def give_ids(people: Sequence[Person]) -> None:
    """One query, none without people."""
    for person, pk in zip(people, take_ids(len(people)), strict=True):
        person.id = pk


def insert_people(people: Sequence[Person], values: dict[int, dict[str, Any]], source_id: int) -> None:
    """Write new profiles that have their ids; ``values`` by ``id()`` are their columns and ``attributes``. One query."""
    if not people:
        return
    rows = [
        {
            "id": person.id,
            "attributes": {},
            **values.get(id(person), {}),
            "is_recognized": person.is_recognized,
            "since": person.since,
            "until": person.until,
        }
        for person in people
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
class Held:
    """A person's row as it is now, locked: what ``get_value`` and ``set_value`` need of a Profile, for a fraction."""

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


def hold_people(ids: Iterable[int]) -> dict[int, Held]:
    """These rows, locked until the transaction ends, in the order of ``graph.lock_profiles``. One query."""
    rows = run(
        f"SELECT id, canonical_id, status, attributes, {_COLUMNS} FROM profiles_profile"
        " WHERE id = ANY(%b::bigint[]) ORDER BY canonical_id = id, id FOR NO KEY UPDATE",
        [sorted(set(ids))],
    )
    return {pk: Held(pk, root, status, orjson.loads(own), *values) for pk, root, status, own, *values in rows}


def update_people(rows: Sequence[dict[str, Any]]) -> None:
    """Write back changed people whose rows are locked: every column, one statement."""
    if not rows:
        return
    sets = ", ".join(f"{name} = d.{name}" for name in Profile.FIELDS)
    ask(
        f"""
        UPDATE profiles_profile p SET {sets}, attributes = d.attributes,
            is_recognized = p.is_recognized OR d.is_recognized, version = p.version + 1, updated_at = now()
        FROM jsonb_to_recordset(%s::jsonb) AS d (id bigint, is_recognized boolean, attributes jsonb, {_RECORD})
        WHERE p.id = d.id
        """,
        [as_json(list(rows))],
    )


# --- Identifiers ----------------------------------------------------------------------------------------


def member_of(attach: Attach) -> int:
    """The row an identifier is kept on: the member that led here, or the person's own."""
    return attach.landing.member_id or attach.landing.person.now().id


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


def insert_identifiers(
    wanted: Sequence[Attach], final: dict[Any, Person], source_id: int
) -> Answer[set[Any]]:
    """Write identifiers; a value leads where it belongs at the end of the call. ``{(type, value, profile)}`` new.

    A value that waits for confirmation waits no longer once a source that asks for none brings it, too.
    A value somebody else takes at this moment breaks its constraint; then the call is done again.
    """
    rows: dict[tuple[int, str, int], tuple[Claim, bool, Attach]] = {}
    # A value that went from one to the other leads by the last row only, also when the two were joined later.
    last: dict[Any, int] = {}
    for attach in wanted:
        owner = final.get(attach.claim.key)
        if attach.leads and owner is not None and owner.now() is attach.landing.person.now():
            last[attach.claim.key] = member_of(attach)
    for attach in wanted:
        claim, member = attach.claim, member_of(attach)
        leads = attach.leads and last.get(claim.key) == member
        rows.setdefault((claim.spec.id, claim.value, member), (claim, leads, attach))
    if not rows:
        return Answer.of(set())
    ordered = sorted(rows)
    picked = [rows[key] for key in ordered]
    return ask(
        _IDENTIFIERS,
        {
            "source": source_id,
            "types": [kind for kind, _, _ in ordered],
            "values": [value for _, value, _ in ordered],
            "raws": [claim.raw[:320] if claim.raw != claim.value else "" for claim, _, _ in picked],
            "profiles": [member for _, _, member in ordered],
            "resolves": [leads for _, leads, _ in picked],
            "verified": [claim.is_verified for claim, _, _ in picked],
            "pending": [claim.is_pending for claim, _, _ in picked],
            "ats": [attach.landing.claims.item.occurred_at for _, _, attach in picked],
        },
        read=set,
    )


def release_passed(decided: Decided) -> None:
    """Values that changed hands stop leading to whoever had them. One query."""
    if decided.passed:
        ask(
            "UPDATE profiles_identifier i SET resolves = false FROM unnest(%b::int[], %b::text[]) AS w (type_id, value)"
            " WHERE i.type_id = w.type_id AND i.value = w.value AND i.resolves",
            [[kind for kind, _ in sorted(decided.passed)], [value for _, value in sorted(decided.passed)]],
        )


def touch_identifiers(touched: dict[int, tuple[datetime.datetime, bool]]) -> None:
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


def keep_intervals(passed: dict[Any, list[Interval]]) -> None:
    """Write the hands soft values went through: ends of old intervals, then new ones. Two queries."""
    rows = [(key, one) for key, intervals in sorted(passed.items()) for one in intervals]
    if not rows:
        return
    ended = [(one.row_id, one.end) for _, one in rows if one.row_id and one.end is not None]
    ask(
        "UPDATE profiles_linkinterval l SET ended_at = d.at FROM unnest(%b::bigint[], %b::timestamptz[]) AS d (id, at)"
        " WHERE l.id = d.id AND l.ended_at IS NULL",
        [[pk for pk, _ in ended], [at for _, at in ended]],
    )
    new = [(key, one) for key, one in rows if not one.row_id]
    ask(
        "INSERT INTO profiles_linkinterval (type_id, value, profile_id, started_at, ended_at)"
        " SELECT * FROM unnest(%b::int[], %b::text[], %b::bigint[], %b::timestamptz[], %b::timestamptz[])",
        [
            [kind for (kind, _), _ in new],
            [value for (_, value), _ in new],
            [one.member_id or one.person.now().id for _, one in new],
            [one.start for _, one in new],
            [one.end for _, one in new],
        ],
    )


# --- What stays apart -----------------------------------------------------------------------------------


def suggest(clashes: Sequence[Clash], source_name: str) -> None:
    """People who share a value but stay apart become duplicate suggestions (I7). One query."""
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for clash in clashes:
        a, b = sorted((clash.person.now().id, clash.other.now().id))
        if a != b:
            rows.setdefault(
                (a, b),
                {
                    "code": "shared_identifier",
                    "type": clash.claim.spec.name,
                    "value": clash.claim.value,
                    "source": source_name,
                    "text": f"Both came with the {clash.claim.spec.name} {clash.claim.value}.",
                },
            )
    suggestions.suggest(rows)


def hold(clashes: Sequence[Clash], source_id: int) -> None:
    """Joins the circuit breaker held, into its inbox; one asked for again is counted. One query."""
    rows = {
        (clash.claim.spec.id, clash.claim.value, clash.person.now().id, clash.other.now().id): clash
        for clash in clashes
        if clash.person.now() is not clash.other.now()
    }
    if not rows:
        return
    keys = sorted(rows)
    ask(
        """
        INSERT INTO profiles_heldjoin (source_id, reason, type_id, value, profile_id, other_id, people, count, state)
        SELECT %s, reason, type_id, value, profile_id, other_id, people, 1, 'open'
        FROM unnest(%b::text[], %b::int[], %b::text[], %b::bigint[], %b::bigint[], %b::int[])
            AS d (reason, type_id, value, profile_id, other_id, people)
        ON CONFLICT (type_id, value, profile_id, other_id) WHERE state = 'open'
        DO UPDATE SET count = profiles_heldjoin.count + 1, last_at = now()
        """,
        [
            source_id,
            [rows[key].reason for key in keys],
            [kind for kind, *_ in keys],
            [value for _, value, *_ in keys],
            [person for *_, person, _ in keys],
            [other for *_, other in keys],
            [rows[key].people for key in keys],
        ],
    )
