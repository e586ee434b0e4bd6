"""Found pairs into the table: new ones in, scores anew, what no longer holds out; decisions stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection

from profiles.duplicates.candidates import Found
from profiles.duplicates.model import shipped

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


def stage(found: Iterable[Found]) -> None:
    """Put pairs where ``take_over`` looks for them, until the transaction ends."""
    create_stage()
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {STAGED} ({', '.join(COLUMNS)}) FROM STDIN") as copy,
    ):
        for one in found:
            seen = one.classified
            copy.write_row((one.a, one.b, seen.tier, one.score, seen.rule, seen.veto, one.evidence))


def create_stage() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {STAGED} (a_id bigint, b_id bigint, tier text, score float8,"
            " rule text, veto text, evidence jsonb) ON COMMIT DELETE ROWS"
        )
        cursor.execute(f"DELETE FROM {STAGED}")


def take_over(found_by: str, *, people: Sequence[int] | None = None) -> dict[str, int]:
    """Make the table say what is staged; of ``people`` (None: of everybody). Counts: new, kept, withdrawn.

    A pair somebody decided about is not touched, nor is one between two people of whom any two profiles were
    called different. What only a search suggested goes when it no longer holds; what a door or a person
    suggested stays, as *possible*.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {STAGED} s USING profiles_duplicatepair d, profiles_profile x, profiles_profile y"
            " WHERE d.verdict = 'not_duplicate' AND x.id = d.a_id AND y.id = d.b_id"
            " AND s.a_id = least(x.canonical_id, y.canonical_id)"
            " AND s.b_id = greatest(x.canonical_id, y.canonical_id)"
        )
        withdrawn = _withdraw(cursor, people)
        cursor.execute(
            f"""
            INSERT INTO profiles_duplicatepair AS d
                (a_id, b_id, verdict, tier, score, rule, veto, evidence, model_version, found_by, scored_at)
            SELECT a_id, b_id, 'open', tier, score, rule, veto, evidence, %(version)s, %(by)s, now()
            FROM {STAGED} s
            WHERE EXISTS (SELECT FROM profiles_profile p JOIN profiles_matchrow m ON m.profile_id = p.id
                          WHERE p.id = s.a_id AND p.status = 'live')
              AND EXISTS (SELECT FROM profiles_profile p JOIN profiles_matchrow m ON m.profile_id = p.id
                          WHERE p.id = s.b_id AND p.status = 'live')
            ON CONFLICT (a_id, b_id) DO UPDATE SET tier = excluded.tier, score = excluded.score,
                rule = excluded.rule, veto = excluded.veto, evidence = excluded.evidence,
                model_version = excluded.model_version, scored_at = excluded.scored_at
            WHERE d.verdict IN ('open', 'later') AND (d.tier, d.score, d.rule, d.veto, d.evidence, d.model_version)
                IS DISTINCT FROM (excluded.tier, excluded.score, excluded.rule, excluded.veto, excluded.evidence,
                                  excluded.model_version)
            RETURNING (xmax = 0) AS is_new
            """,
            {"version": shipped().version, "by": found_by},
        )
        written = [is_new for (is_new,) in cursor.fetchall()]
    return {"new": sum(written), "changed": len(written) - sum(written), "withdrawn": withdrawn}


def _withdraw(cursor: object, people: Sequence[int] | None) -> int:
    among = "" if people is None else " AND (d.a_id = ANY(%(people)s) OR d.b_id = ANY(%(people)s))"
    params = {"people": list(people or ())}
    gone = (
        f"d.verdict IN ('open', 'later'){among}"
        f" AND NOT EXISTS (SELECT FROM {STAGED} s WHERE s.a_id = d.a_id AND s.b_id = d.b_id)"
    )
    withdrawn = _delete(f"{gone} AND d.found_by IN ('scan', 'change')", params)
    cursor.execute(  # type: ignore[attr-defined]
        "UPDATE profiles_duplicatepair d SET tier = 'possible', score = 0, rule = '', veto = '', evidence = '[]'"
        f" WHERE {gone} AND (d.tier <> 'possible' OR d.score <> 0)",
        params,
    )
    return withdrawn


def remove(people: Sequence[int], *, decided: bool = False) -> int:
    """Take away the pairs these are part of, those people decided about only with ``decided``. How many."""
    undecided = "" if decided else "d.verdict IN ('open', 'later') AND "
    return _delete(
        f"{undecided}(d.a_id = ANY(%(people)s) OR d.b_id = ANY(%(people)s))", {"people": list(people)}
    )


def _delete(where: str, params: Mapping[str, Any]) -> int:
    """Pairs ``d`` go, and cases no longer name them as their weakest link."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH gone AS (DELETE FROM profiles_duplicatepair d WHERE {where} RETURNING id), freed AS"
            " (UPDATE profiles_duplicatecase c SET weakest_id = NULL FROM gone WHERE c.weakest_id = gone.id)"
            " SELECT count(*) FROM gone",
            params,
        )
        (count,) = cursor.fetchone()
    return int(count)
