"""Found pairs into the table: new ones in, scores anew, what no longer holds out; decisions stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection

from profiles.duplicates.candidates import Found
from profiles.duplicates.model import shipped
from profiles.models import DuplicatePair

FoundBy = DuplicatePair.FoundBy

STAGED = "found_pair"
_LOCK = 7_302_005
COLUMNS = ("a_id", "b_id", "tier", "score", "rule", "veto", "evidence")


def hold_still(*, wait: bool = True) -> bool:
    """Be the only one who compares changed people until the transaction ends; False when somebody else is."""
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            return True
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        (is_ours,) = cursor.fetchone()
    return bool(is_ours)


def create_stage() -> None:
    """An empty table for what a scan found, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {STAGED} (a_id bigint, b_id bigint, tier text, score float8,"
            " rule text, veto text, evidence jsonb) ON COMMIT DELETE ROWS"
        )
        cursor.execute(f"DELETE FROM {STAGED}")


def take_over_staged() -> dict[str, int]:
    """Make the table say what a scan of everybody staged. Counts: new, changed, withdrawn."""
    return _take_over(f"TABLE {STAGED}", FoundBy.SCAN, {})


def take_over(found: Iterable[Found], *, people: Sequence[int]) -> dict[str, int]:
    """Make the table say what was found of these people. The same counts."""
    told = [
        (one.a, one.b, one.classified.tier, one.score, one.classified.rule, one.classified.veto, one.evidence)
        for one in found
    ]
    columns = [list(column) for column in zip(*told, strict=True)] or [[] for _ in COLUMNS]
    return _take_over(_GIVEN, FoundBy.CHANGE, dict(zip(COLUMNS, columns, strict=True)), people=people)


# Of ``people``, and of whatever profiles they are.
_OF_PEOPLE = "(d.a_id = ANY(%(people)s) OR d.b_id = ANY(%(people)s))"
_OF_THEIR_PROFILES = _OF_PEOPLE.replace(
    "%(people)s", "ARRAY(SELECT id FROM profiles_profile WHERE canonical_id = ANY(%(people)s))"
)
_GIVEN = (
    "SELECT a_id, b_id, tier, score, rule, veto, evidence::jsonb FROM unnest(%(a_id)s::bigint[], %(b_id)s::bigint[],"
    " %(tier)s::text[], %(score)s::float8[], %(rule)s::text[], %(veto)s::text[], %(evidence)s::text[])"
    f" AS given ({', '.join(COLUMNS)})"
)


def _take_over(
    found: str, found_by: str, params: dict[str, Any], *, people: Sequence[int] | None = None
) -> dict[str, int]:
    """One statement about ``people`` (None: everybody). ``found`` selects COLUMNS.

    A pair somebody decided about is not touched, nor is one between two people of whom any two profiles were
    called different. What only a search suggested goes when it no longer holds; what a door or a person
    suggested stays, as *possible*.
    """
    theirs = "true" if people is None else _OF_PEOPLE
    decided = "true" if people is None else _OF_THEIR_PROFILES
    no_longer = (
        f"d.verdict IN ('open', 'later') AND {theirs}"
        " AND NOT EXISTS (SELECT FROM staged s WHERE s.a_id = d.a_id AND s.b_id = d.b_id)"
    )
    alive = (
        "EXISTS (SELECT FROM profiles_profile p JOIN profiles_matchrow m ON m.profile_id = p.id"
        " WHERE p.id = {0} AND p.status = 'live')"
    )
    seen = ("tier", "score", "rule", "veto", "evidence", "model_version")
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH apart AS MATERIALIZED (
                SELECT least(x.canonical_id, y.canonical_id) AS a_id, greatest(x.canonical_id, y.canonical_id) AS b_id
                FROM profiles_duplicatepair d JOIN profiles_profile x ON x.id = d.a_id
                JOIN profiles_profile y ON y.id = d.b_id WHERE d.verdict = 'not_duplicate' AND {decided}
            ), staged AS MATERIALIZED (
                SELECT * FROM ({found}) f
                WHERE NOT EXISTS (SELECT FROM apart WHERE apart.a_id = f.a_id AND apart.b_id = f.b_id)
            ), gone AS (
                DELETE FROM profiles_duplicatepair d WHERE {no_longer} AND d.found_by IN ('scan', 'change') RETURNING id
            ), freed AS (
                {_FREE}
            ), stays AS (
                UPDATE profiles_duplicatepair d SET tier = 'possible', score = 0, rule = '', veto = '', evidence = '[]'
                WHERE {no_longer} AND d.found_by NOT IN ('scan', 'change') AND (d.tier <> 'possible' OR d.score <> 0)
            ), written AS (
                INSERT INTO profiles_duplicatepair AS d
                    ({", ".join(COLUMNS)}, verdict, model_version, found_by, scored_at)
                SELECT {", ".join(COLUMNS)}, 'open', %(version)s, %(by)s, now() FROM staged s
                WHERE {alive.format("s.a_id")} AND {alive.format("s.b_id")}
                ON CONFLICT (a_id, b_id) DO UPDATE SET
                    {", ".join(f"{name} = excluded.{name}" for name in seen)}, scored_at = excluded.scored_at
                WHERE d.verdict IN ('open', 'later') AND ({", ".join(f"d.{name}" for name in seen)})
                    IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in seen)})
                RETURNING xmax = 0 AS is_new
            )
            SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new), (SELECT count(*) FROM gone)
            FROM written
            """,
            {**params, "people": list(people or ()), "version": shipped().version, "by": found_by},
        )
        return dict(zip(("new", "changed", "withdrawn"), cursor.fetchone(), strict=True))


# Cases no longer name pairs that are ``gone`` as their weakest link.
_FREE = "UPDATE profiles_duplicatecase c SET weakest_id = NULL FROM gone WHERE c.weakest_id = gone.id"


def remove(people: Sequence[int], *, decided: bool = False) -> int:
    """Take away the pairs these are part of, those people decided about only with ``decided``. How many."""
    undecided = "" if decided else "d.verdict IN ('open', 'later') AND "
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH gone AS (DELETE FROM profiles_duplicatepair d WHERE {undecided}{_OF_PEOPLE} RETURNING id),"
            f" freed AS ({_FREE}) SELECT count(*) FROM gone",
            {"people": list(people)},
        )
        (count,) = cursor.fetchone()
    return int(count)
