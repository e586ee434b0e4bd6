"""Found pairs into the table: new ones in, scores anew, what no longer holds out; decisions stay as they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import orjson
from django.db import connection

from cdp.sql import run
from profiles.duplicates.finding.incremental import Found
from profiles.duplicates.scoring.model import shipped
from profiles.models import DuplicatePair

FoundBy = DuplicatePair.FoundBy

STAGED = "found_pair"
_LOCK = 7_302_005
_TYPED = "a_id bigint, b_id bigint, tier text, score float8, rule text, veto text, evidence jsonb"
# As a scan's file has them; what rests on a third person is derived afterwards.
COLUMNS = tuple(column.split()[0] for column in _TYPED.split(", "))
_WRITTEN = (*COLUMNS, "through_id")
_TYPED += ", through_id bigint"
# Pairs found by what the two say themselves; and whatever was decided, which nobody writes over.
_OWN = "(d.through_id IS NULL OR d.verdict NOT IN ('open', 'later'))"


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
        cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS {STAGED} ({_TYPED}) ON COMMIT DELETE ROWS")
        cursor.execute(f"DELETE FROM {STAGED}")


class Taken(NamedTuple):
    """How many pairs are new, changed and withdrawn; and how many were there before that were no household's."""

    new: int
    changed: int
    withdrawn: int
    before: int


def take_over_staged() -> Taken:
    """Make the table say what a scan of everybody staged."""
    alive = (
        "EXISTS (SELECT FROM profiles_profile p JOIN profiles_matchrow m ON m.profile_id = p.id"
        " WHERE p.id = {0} AND p.status = 'live')"
    )
    found = f"SELECT * FROM {STAGED} WHERE {alive.format('a_id')} AND {alive.format('b_id')}"
    return _take_over(found, FoundBy.SCAN, _OWN, {})


def take_over(found: Iterable[Found], *, people: Sequence[int]) -> Taken:
    """Make the table say what was found of these people just now."""
    params = {"found": _as_json(found), "people": list(people)}
    profiles = "ARRAY(SELECT id FROM profiles_profile WHERE canonical_id = ANY(%(people)b::bigint[]))"
    return _take_over(_GIVEN, FoundBy.CHANGE, f"{_OF.format(profiles)} AND {_OWN}", params)


def take_over_bridged(found: Iterable[Found], *, among: Collection[tuple[int, int]] | None) -> int:
    """The same for pairs that rest on a third person: of those ``among`` what is not found goes; None: of all. How many."""
    told = list(found)
    params: dict[str, Any] = {"found": _as_json(told)}
    theirs = "d.through_id IS NOT NULL"
    if among is not None:
        params |= {"a": [a for a, _ in among], "b": [b for _, b in among]}
        theirs += " AND (d.a_id, d.b_id) IN (SELECT * FROM unnest(%(a)b::bigint[], %(b)b::bigint[]))"
    _take_over(_GIVEN, FoundBy.SCAN if among is None else FoundBy.CHANGE, theirs, params)
    return len(told)


_GIVEN = f"SELECT * FROM json_to_recordset(%(found)s::json) AS given ({_TYPED})"


def _as_json(found: Iterable[Found]) -> str:
    told = [
        {
            "a_id": one.a,
            "b_id": one.b,
            "tier": one.classified.tier,
            "score": one.score,
            "rule": one.classified.rule,
            "veto": one.classified.veto,
            "evidence": one.evidence,
            "through_id": one.through,
        }
        for one in found
    ]
    return orjson.dumps(told).decode()


def _take_over(found: str, found_by: str, theirs: str, params: dict[str, Any]) -> Taken:
    """One statement. ``found`` selects ``_WRITTEN``, ``theirs`` is whose pairs ``d`` it is all about.

    A pair somebody decided about is not touched, nor is one between two people of whom any two profiles were
    called different. What only a search suggested goes when it no longer holds; what a door or a person
    suggested stays, as *possible*.
    """
    seen = ("tier", "score", "rule", "veto", "evidence", "through_id", "model_version")
    (counts,) = run(
        f"""
        WITH theirs AS MATERIALIZED (
            SELECT d.id, d.a_id, d.b_id, d.verdict, d.tier FROM profiles_duplicatepair d WHERE {theirs}
        ), apart AS (
            SELECT least(x.canonical_id, y.canonical_id) AS a_id, greatest(x.canonical_id, y.canonical_id) AS b_id
            FROM theirs t JOIN profiles_profile x ON x.id = t.a_id JOIN profiles_profile y ON y.id = t.b_id
            WHERE t.verdict = 'not_duplicate'
        ), staged AS MATERIALIZED (
            SELECT * FROM ({found}) f
            WHERE NOT EXISTS (SELECT FROM apart WHERE apart.a_id = f.a_id AND apart.b_id = f.b_id)
        ), no_longer AS (
            SELECT t.id FROM theirs t WHERE t.verdict IN ('open', 'later')
            AND NOT EXISTS (SELECT FROM staged s WHERE s.a_id = t.a_id AND s.b_id = t.b_id)
        ), gone AS (
            DELETE FROM profiles_duplicatepair d USING no_longer n
            -- Of the row as it is: a door may have suggested it since this statement began.
            WHERE d.id = n.id AND d.verdict IN ('open', 'later') AND d.found_by IN ('scan', 'change') RETURNING d.id
        ), freed AS (
            {_FREE}
        ), stays AS (
            UPDATE profiles_duplicatepair d SET tier = 'possible', score = 0, rule = '', veto = '', evidence = '[]',
                through_id = NULL
            FROM no_longer n
            WHERE d.id = n.id AND d.verdict IN ('open', 'later') AND d.found_by NOT IN ('scan', 'change')
                AND (d.tier <> 'possible' OR d.score <> 0 OR d.through_id IS NOT NULL)
        ), written AS (
            INSERT INTO profiles_duplicatepair AS d
                ({", ".join(_WRITTEN)}, verdict, model_version, found_by, scored_at)
            SELECT {", ".join(_WRITTEN)}, 'open', %(version)s, %(by)s, now() FROM staged
            ON CONFLICT (a_id, b_id) DO UPDATE SET
                {", ".join(f"{name} = excluded.{name}" for name in seen)}, scored_at = excluded.scored_at
            WHERE d.verdict IN ('open', 'later') AND ({", ".join(f"d.{name}" for name in seen)})
                IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in seen)})
            RETURNING xmax = 0 AS is_new
        )
        SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new), (SELECT count(*) FROM gone),
            (SELECT count(*) FROM theirs WHERE tier <> 'related')
        FROM written
        """,
        {**params, "version": shipped().version, "by": found_by},
    )
    return Taken(*counts)


_OF = "(d.a_id = ANY({0}) OR d.b_id = ANY({0}))"
# Cases no longer name pairs that are ``gone`` as their weakest link.
_FREE = "UPDATE profiles_duplicatecase c SET weakest_id = NULL FROM gone WHERE c.weakest_id = gone.id"


def remove(people: Sequence[int], *, decided: bool = False) -> int:
    """Take away the pairs these are part of, those people decided about only with ``decided``. How many."""
    undecided = "" if decided else "d.verdict IN ('open', 'later') AND "
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH gone AS (DELETE FROM profiles_duplicatepair d WHERE {undecided}{_OF.format('%(people)s')} RETURNING id),"
            f" freed AS ({_FREE}) SELECT count(*) FROM gone",
            {"people": list(people)},
        )
        (count,) = cursor.fetchone()
    return int(count)
