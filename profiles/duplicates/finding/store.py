"""Scored pairs → the table of pairs: new ones added, scores updated, outdated ones removed; decisions stay."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import orjson
from django.db import connection

from cdp.locks import Lock, take, try_take
from cdp.sql import run
from profiles.duplicates.finding.incremental import ScoredPair
from profiles.duplicates.scoring.model import shipped
from profiles.models import DuplicatePair

FoundBy = DuplicatePair.FoundBy

STAGING_TABLE = "found_pair"
_COLUMN_TYPES = "a_id bigint, b_id bigint, tier text, score float8, rule text, veto text, evidence jsonb"
# The columns of a scan's file; transitive pairs are derived afterwards.
COLUMNS = tuple(column.split()[0] for column in _COLUMN_TYPES.split(", "))
_WRITTEN = (*COLUMNS, "through_id")
_COLUMN_TYPES += ", through_id bigint"
# Pairs that do not rest on a third profile, and all decided ones, which are never overwritten.
_DIRECT = "(d.through_id IS NULL OR d.verdict NOT IN ('open', 'later'))"


def lock_comparison(*, wait: bool = True) -> bool:
    """Take the lock under which changed profiles are compared, until the transaction ends; False when it is
    taken.
    """
    if not wait:
        return try_take(Lock.MATCH_QUEUE)
    take(Lock.MATCH_QUEUE)
    return True


def create_staging_table() -> None:
    """An empty table for the pairs of a scan, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {STAGING_TABLE} ({_COLUMN_TYPES}) ON COMMIT DELETE ROWS"
        )
        cursor.execute(f"DELETE FROM {STAGING_TABLE}")


class StoreCounts(NamedTuple):
    """How many pairs are new, changed and withdrawn, and how many there were ``before``, related ones left
    out.
    """

    new: int
    changed: int
    withdrawn: int
    before: int


def store_staged() -> StoreCounts:
    """Replace all pairs by those of a scan in the staging table."""
    is_live = (
        "EXISTS (SELECT FROM profiles_profile p JOIN profiles_matchrow m ON m.profile_id = p.id"
        " WHERE p.id = {0} AND p.status = 'live')"
    )
    select_staged = (
        f"SELECT * FROM {STAGING_TABLE} WHERE {is_live.format('a_id')} AND {is_live.format('b_id')}"
    )
    return _store(select_staged, FoundBy.SCAN, _DIRECT, {})


def store_changed(pairs: Iterable[ScoredPair], *, roots: Sequence[int]) -> StoreCounts:
    """Replace the pairs of these profiles by those just found."""
    params = {"found": _as_json(pairs), "people": list(roots)}
    profiles = "ARRAY(SELECT id FROM profiles_profile WHERE canonical_id = ANY(%(people)b::bigint[]))"
    return _store(_FROM_JSON, FoundBy.CHANGE, f"{_INVOLVES.format(profiles)} AND {_DIRECT}", params)


def store_transitive(found_pairs: Iterable[ScoredPair], *, among: Collection[tuple[int, int]] | None) -> int:
    """Replace transitive pairs: those ``among`` these (None: all) by those found; how many were found."""
    pairs = list(found_pairs)
    params: dict[str, Any] = {"found": _as_json(pairs)}
    concerned = "d.through_id IS NOT NULL"
    if among is not None:
        params |= {"a": [a for a, _ in among], "b": [b for _, b in among]}
        concerned += " AND (d.a_id, d.b_id) IN (SELECT * FROM unnest(%(a)b::bigint[], %(b)b::bigint[]))"
    _store(_FROM_JSON, FoundBy.SCAN if among is None else FoundBy.CHANGE, concerned, params)
    return len(pairs)


_FROM_JSON = f"SELECT * FROM json_to_recordset(%(found)s::json) AS given ({_COLUMN_TYPES})"


def _as_json(pairs: Iterable[ScoredPair]) -> str:
    rows = [
        {
            "a_id": pair.a,
            "b_id": pair.b,
            "tier": pair.classified.tier,
            "score": pair.score,
            "rule": pair.classified.rule,
            "veto": pair.classified.veto,
            "evidence": pair.stored_evidence,
            "through_id": pair.via_id,
        }
        for pair in pairs
    ]
    return orjson.dumps(rows).decode()


def _store(select_pairs: str, found_by: str, concerned: str, params: dict[str, Any]) -> StoreCounts:
    """One statement. ``select_pairs`` selects ``_WRITTEN``; ``concerned`` is a condition on the stored
    pairs ``d`` to replace.

    Decided pairs are not touched, nor is a pair added between two people of whom any two profiles were
    decided to be different. A pair that only a search suggested goes when it no longer holds; one that a
    source or a reviewer suggested stays, as *possible*.
    """
    updated = ("tier", "score", "rule", "veto", "evidence", "through_id", "model_version")
    (counts,) = run(
        f"""
        WITH theirs AS MATERIALIZED (
            SELECT d.id, d.a_id, d.b_id, d.verdict, d.tier FROM profiles_duplicatepair d WHERE {concerned}
        ), apart AS (
            SELECT least(x.canonical_id, y.canonical_id) AS a_id, greatest(x.canonical_id, y.canonical_id) AS b_id
            FROM theirs t JOIN profiles_profile x ON x.id = t.a_id JOIN profiles_profile y ON y.id = t.b_id
            WHERE t.verdict = 'not_duplicate'
        ), staged AS MATERIALIZED (
            SELECT * FROM ({select_pairs}) f
            WHERE NOT EXISTS (SELECT FROM apart WHERE apart.a_id = f.a_id AND apart.b_id = f.b_id)
        ), no_longer AS (
            SELECT t.id FROM theirs t WHERE t.verdict IN ('open', 'later')
            AND NOT EXISTS (SELECT FROM staged s WHERE s.a_id = t.a_id AND s.b_id = t.b_id)
        ), gone AS (
            DELETE FROM profiles_duplicatepair d USING no_longer n
            -- Of the row as it is: a source may have suggested it since this statement began.
            WHERE d.id = n.id AND d.verdict IN ('open', 'later') AND d.found_by IN ('scan', 'change') RETURNING d.id
        ), freed AS (
            {_RELEASE_WEAKEST}
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
                {", ".join(f"{name} = excluded.{name}" for name in updated)}, scored_at = excluded.scored_at
            WHERE d.verdict IN ('open', 'later') AND ({", ".join(f"d.{name}" for name in updated)})
                IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in updated)})
            RETURNING xmax = 0 AS is_new
        )
        SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new), (SELECT count(*) FROM gone),
            (SELECT count(*) FROM theirs WHERE tier <> 'related')
        FROM written
        """,
        {**params, "version": shipped().version, "by": found_by},
    )
    return StoreCounts(*counts)


_INVOLVES = "(d.a_id = ANY({0}) OR d.b_id = ANY({0}))"
# Cases stop naming deleted pairs (``gone``) as their weakest link.
_RELEASE_WEAKEST = (
    "UPDATE profiles_duplicatecase c SET weakest_id = NULL FROM gone WHERE c.weakest_id = gone.id"
)


def remove_pairs(profile_ids: Sequence[int], *, decided: bool = False) -> int:
    """Delete the pairs of these profiles, decided ones only with ``decided``. How many."""
    undecided = "" if decided else "d.verdict IN ('open', 'later') AND "
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH gone AS (DELETE FROM profiles_duplicatepair d WHERE {undecided}{_INVOLVES.format('%(people)s')} RETURNING id),"
            f" freed AS ({_RELEASE_WEAKEST}) SELECT count(*) FROM gone",
            {"people": list(profile_ids)},
        )
        (count,) = cursor.fetchone()
    return int(count)
